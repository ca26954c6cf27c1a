"""Checkpoints that mmengine loads from a path or an address: no code of the file runs."""

from mmengine.runner import CheckpointLoader

from hetkd.utils.weight_file import read_file


@CheckpointLoader.register_scheme(prefixes=['', 'http://', 'https://'], force=True)
def load_from_plain(filename: str, map_location=None):
    """Read it with ``weights_only=True`` into main memory, whatever ``map_location`` says.

    From there model and optimizer take what they hold to their devices. mmengine reads a checkpoint to resume
    from onto the device, counters of the optimizer included. It also runs the text of a config of old as
    Python when it resumes, so that is left out.
    """
    content = read_file(filename)
    meta = content.get('meta') if isinstance(content, dict) else None
    if isinstance(meta, dict):
        meta.pop('config', None)
    return content
