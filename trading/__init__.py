"""The trading plane: markets for energy whose matches become circuits, and whose meters become payments."""
