"""Videos of walking robots: recorded poses, and frames that play at real speed."""

import io
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
from PIL import Image

from bodyplan.envs.environment import Environment
from bodyplan.evaluation.video import (
    encode_webp,
    record_poses,
    render_video,
    robot_videos,
    tile_videos,
)


def swinging(robot):
    steps = iter(range(10_000))

    def policy(observation):
        phase = 0.3 * next(steps) + np.arange(robot.num_joints)
        return np.tile(0.4 * np.sin(phase), (len(observation.general), 1))

    return policy


def test_the_drawn_video_moves_and_plays_at_real_speed(load):
    robot = load("hexapod")
    video = render_video(Environment(robot), swinging(robot), 0.4, (80, 60), renderer="drawn")
    image = Image.open(io.BytesIO(video))
    assert image.format == "WEBP"
    assert image.size == (80, 60)
    assert image.n_frames == 7
    frames, durations = [], []
    for index in range(image.n_frames):
        image.seek(index)
        image.load()
        frames.append(np.asarray(image.convert("RGB"), float))
        durations.append(image.info["duration"])
    assert set(durations) == {60}
    moved = [np.abs(b - a).mean() for a, b in pairwise(frames[1:])]
    assert min(moved) > 0.1
    assert min(frame.std() for frame in frames) > 10.0


def test_every_robot_is_filmed_in_order(load):
    class Still:
        def act(self, observation, descriptor):
            return np.zeros((1, len(descriptor.joints)))

    robots = [load(name) for name in ("hexapod", "unitree_h1", "bittle")]
    seen = []
    videos = robot_videos(Still(), robots, progress=lambda *step: seen.append(step[1]), seconds=0.2)
    assert list(videos) == [robot.name for robot in robots]
    frames = [Image.open(io.BytesIO(video)).n_frames for video in videos.values()]
    assert all(1 < count <= 4 for count in frames)  # equal frames are joined
    assert seen[0] == 0
    assert seen[-1] == len(robots)
    assert seen == sorted(seen)


def test_a_fallen_robot_lies_still_to_the_end():
    class Falls(Environment):
        qpos, observation, steps = np.zeros((2, 7)), None, 0

        def __init__(self):
            """Nothing to set up."""

        def reset(self, mask=None):
            self.steps = 0

        def step(self, action):
            self.steps += 1
            self.qpos = self.qpos + 1.0
            down = np.array([self.steps == 5, False])
            return SimpleNamespace(terminated=down, truncated=np.zeros(2, bool))

    poses = record_poses(Falls(), lambda observation: np.zeros((2, 1)), 12)
    np.testing.assert_array_equal(poses[:, 0], [0, 3, 5, 5, 5])


def test_equal_frames_are_one_frame_of_a_small_file():
    assert len(encode_webp(np.full((50, 24, 32, 3), 128, np.uint8))) < 2000


def test_tiled_videos_keep_their_places():
    videos = [np.full((2, 3, 4, 3), shade, np.uint8) for shade in (10, 20, 30)]
    whole = tile_videos([[videos[0], videos[1]], [None, videos[2]]])
    assert whole.shape == (2, 6, 8, 3)
    corners = whole[1, ::5, ::7, 0]
    np.testing.assert_array_equal(corners, [[10, 20], [255, 30]])
