"""A benchmark of this service against other common setups: `make bench`.

It needs Linux (``/proc``) and wrk. The harness uses only the standard library. All traffic is on loopback.
"""
