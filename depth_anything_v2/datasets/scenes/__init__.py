"""The parts of the scene renderer: shapes and rays, textures, light, and the families of scenes."""
