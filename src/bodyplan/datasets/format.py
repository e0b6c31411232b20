"""How a dataset lies on disk: plain arrays that are mapped into memory, and one card.

An episode of L steps has L + 1 frames, the last being what the robot saw at the end, before any
reset; next observations are therefore the next frame and are stored once. So are descriptors: one
set for a robot whose body stays as it is, else each distinct set once and a number for each frame.

    card.json                    recipe, command, seed, versions, robots, SHA-256 of every array
    <robot>/joints.npy           [N+E, J, 3] float32, frames of E episodes with N steps in all
            feet.npy             [N+E, F, 2]
            general.npy          [N+E, 13]
            actions.npy          [N, J]
            rewards.npy          [N]
            terminated.npy       [N] bool, truncated.npy likewise
            episode_ends.npy     [E] int64, the step after the last of each episode
            descriptors.npz      K sets: joints [K, J, 23], feet [K, F, 10], context [K, 7]
            descriptor_ids.npy   [N+E] int32, the set of each frame; only where K > 1

Terminated is not truncated: a truncated episode went on unseen, so values are bootstrapped
through its end, a terminated one has no future.
"""

DATASET_FORMAT = 1
CARD = "card.json"
DESCRIPTORS = "descriptors.npz"
IDS = "descriptor_ids"
FRAME_ARRAYS = ("joints", "feet", "general")
STEP_ARRAYS = ("actions", "rewards", "terminated", "truncated")
ARRAYS = (*FRAME_ARRAYS, *STEP_ARRAYS, "episode_ends")
"""What every robot has; `IDS` comes on top where its body changes."""

REBUILD = "rebuild the dataset or restore the file"
"""The way out of damage."""
