"""Pictures in, depth files and coloured pictures out. Knows no model.

OpenCV, Pillow and OpenEXR are imported by the functions that need them.
"""

from depth_anything_v2.io.atomic import atomic_path
from depth_anything_v2.io.colormaps import COLORMAPS, colorize, original_picture
from depth_anything_v2.io.depth_files import FORMATS, output_files, output_name, read_depth, write_depth, write_image
from depth_anything_v2.io.images import IMAGE_SUFFIXES, is_url, read_image, to_float, to_uint8

__all__ = [
    "COLORMAPS",
    "FORMATS",
    "IMAGE_SUFFIXES",
    "atomic_path",
    "colorize",
    "is_url",
    "original_picture",
    "output_files",
    "output_name",
    "read_depth",
    "read_image",
    "to_float",
    "to_uint8",
    "write_depth",
    "write_image",
]
