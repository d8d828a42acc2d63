"""What this service costs beside what one would otherwise run: `make bench`.

It needs Linux (``/proc``) and wrk, and otherwise the standard library. All traffic is on loopback.
"""
