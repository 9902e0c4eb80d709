"""The device model of a digital grid router, pure: circuits, lines, flows, energy. Time comes in, effects go out."""
