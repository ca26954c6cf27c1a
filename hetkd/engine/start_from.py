"""``load_from``: begin a run with the weights of a file."""

from mmengine.runner import CheckpointLoader

from hetkd.models.nets.checkpoint import STUDENT_PREFIX, all_weights, fitted, load_checked, student_of

from .plain_model import plain_model


def start_from(runner, path: str) -> dict:
    """Load weights into the student, whole; a checkpoint of the same model fills the train-only parts too.

    A log line says which.

    Args:
        runner: whose model is filled.
        path: of a run's checkpoint (of any method), an exported student, or a file of the student's library.

    Returns:
        The content of the file.

    Raises:
        UserError: the weights are not those of the student; names the first keys.
    """
    content = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    weights = all_weights(content, path)
    model, state = plain_model(runner), weights.state_dict
    own = model.state_dict()
    is_same = {k: x.shape for k, x in own.items()} == {k: x.shape for k, x in state.items()}
    if not is_same and hasattr(model, 'student'):
        net = model.student.model
        rest = {key: value for key, value in own.items() if not key.startswith(STUDENT_PREFIX)}

        def fill(state):
            runner.fill_model(rest | {STUDENT_PREFIX + key: value for key, value in state.items()})

        state = fitted(net, student_of(weights).state_dict, path, model.student.num_classes)
        load_checked(fill, net, state, path)
        found = f"the student's weights; train-only parts ({len(rest)} tensors) start anew"
    else:
        load_checked(runner.fill_model, model, state, path)
        found = 'all weights of the model, with its train-only parts'
    # As a checkpoint of this model, for the hooks that take weights of it (a moving average).
    runner.call_hook('after_load_checkpoint', checkpoint=dict(content, state_dict=model.state_dict()))
    runner.logger.info(f'load_from: {path}: {found}')
    return content
