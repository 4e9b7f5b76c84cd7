"""How fast a model runs here: workloads, engines that take turns, and what is measured of them."""
