"""Types and state that every layer uses: settings, addresses, request IDs, the drain."""
