"""The Digital Grid Controller: learns the power-link state, admits circuits and programs the routers."""
