"""How much one caller may ask: cheap limits per address, rates per principal and per store. Asked by the edge."""
