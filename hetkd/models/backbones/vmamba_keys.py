"""Key conversion for VMamba checkpoints of all the authors' naming schemes."""

import re

# From the names of the first files to the current ones.
OLDEST = [
    (r'^patch_embed\.proj\.', 'patch_embed.0.'),
    (r'^patch_embed\.norm\.', 'patch_embed.2.'),
    (r'\.ln_1\.', '.norm.'),
    (r'\.self_attention\.', '.op.'),
    (r'\.downsample\.norm\.', '.downsample.1.'),
    (r'\.downsample\.reduction\.', '.downsample.2.'),
    (r'^norm\.', 'classifier.norm.'),
    (r'^head\.', 'classifier.head.'),
]
# Projections of the four directions: one parameter (4, o, i), or a layer's weight (4 o, i).
PROJECTIONS = ('x_proj', 'dt_projs')


def rename_keys(module, state_dict: dict, prefix: str, *args) -> None:
    """Rename and reshape a state dict in place before it is loaded (a load-state-dict pre-hook).

    Unknown names stay as they are, so that a strict load reports them.
    """
    own = {prefix + key: value for key, value in module.state_dict().items()}
    for key in [key for key in state_dict if key.startswith(prefix)]:
        value, name = state_dict[key], key[len(prefix) :]
        for old, new in OLDEST:
            name = re.sub(old, new, name)
        name = prefix + name
        for part in PROJECTIONS:
            layer, parameter = f'.{part}.weight', f'.{part}_weight'
            if name not in own and name.endswith(parameter):
                name = name.removesuffix(parameter) + layer
            elif name not in own and name.endswith(layer):
                name = name.removesuffix(layer) + parameter
        if name in own:
            if value.shape != own[name].shape and value.numel() == own[name].numel():
                value = value.reshape(own[name].shape)  # (o, i, 1, 1), or the four directions in one
            del state_dict[key]
            state_dict[name] = value
