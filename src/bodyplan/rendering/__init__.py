"""Images of robots: the scene, the camera, and two renderers."""
