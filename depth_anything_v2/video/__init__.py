"""Video in, video of depth out: small streams in constant memory. Needs PyAV (the extra 'video')."""

from depth_anything_v2.video.frames import Frame
from depth_anything_v2.video.reader import VIDEO_SUFFIXES, VideoInfo, VideoReader, read_frames
from depth_anything_v2.video.render import (
    RenderOptions,
    RenderResult,
    clip_range,
    depth_frames,
    depth_picture,
    parse_range,
    render_video,
)
from depth_anything_v2.video.writer import VideoWriter, write_video

__all__ = [
    "VIDEO_SUFFIXES",
    "Frame",
    "RenderOptions",
    "RenderResult",
    "VideoInfo",
    "VideoReader",
    "VideoWriter",
    "clip_range",
    "depth_frames",
    "depth_picture",
    "parse_range",
    "read_frames",
    "render_video",
    "write_video",
]
