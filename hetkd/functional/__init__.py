"""The papers' equations as pure tensor functions. Imports torch only."""

from .agreement import GROUPS, who_is_right
from .at import at_loss
from .calibration import calibration_bins, calibration_error
from .cat import cat_loss
from .cc import cc_loss
from .cka import linear_cka
from .crd import crd_log_normalisers, crd_loss
from .dfra import DFRA, dfra_loss
from .dist import dist_loss
from .dkd import dkd_loss
from .grad_cam import grad_cam
from .gradients import cosines_with_labels, term_gradients
from .hint import hint_loss
from .householder import householder_columns
from .kd import kd_loss
from .kl import kl_divergence, kl_of_each
from .knn import knn_accuracy
from .msdf import msdf_fuse
from .ofa import ofa_loss
from .orthogonality import orthogonality_loss, sublogit_cosines
from .relation import mean_relation, relation_kl
from .resample import cut, pool_matrix, resample, resize_matrix
from .rkd import rkd_loss
from .rld import rld_loss
from .rsd import rsd_loss
from .standardise import standardise_logits
from .sub_logits import sublogit_ce, sublogit_kl
from .vkd import vkd_loss

__all__ = [
    'DFRA',
    'GROUPS',
    'at_loss',
    'calibration_bins',
    'calibration_error',
    'cat_loss',
    'cc_loss',
    'cosines_with_labels',
    'crd_log_normalisers',
    'crd_loss',
    'cut',
    'dfra_loss',
    'dist_loss',
    'dkd_loss',
    'grad_cam',
    'hint_loss',
    'householder_columns',
    'kd_loss',
    'kl_divergence',
    'kl_of_each',
    'knn_accuracy',
    'linear_cka',
    'mean_relation',
    'msdf_fuse',
    'ofa_loss',
    'orthogonality_loss',
    'pool_matrix',
    'relation_kl',
    'resample',
    'resize_matrix',
    'rkd_loss',
    'rld_loss',
    'rsd_loss',
    'standardise_logits',
    'sublogit_ce',
    'sublogit_cosines',
    'sublogit_kl',
    'term_gradients',
    'vkd_loss',
    'who_is_right',
]
