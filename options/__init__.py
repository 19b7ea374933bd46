"""Every option of every script, each declared once, in typed groups. Nothing here imports torch.

To add one, add a field to its group: the command line, --help, the refusal of foreign flags and what a resumed run
compares all follow from it.
"""

from options.domain import DomainOptions
from options.further import (
    CheckOptions,
    DescribeOptions,
    LastLayerOptions,
    LocalizationOptions,
    ReportOptions,
    SoupOptions,
)
from options.hub import HubOptions
from options.losses import LossOptions
from options.method import MethodOptions
from options.shared import EvaluationOptions, ModelOptions, PathsOptions, RunningOptions
from options.training import AugmentationOptions, GroupsOptions, NightOptions, TrainingOptions
from support.options import Option, options_of

GROUPS = (  # in the order of --help
    PathsOptions,
    ModelOptions,
    LastLayerOptions,
    MethodOptions,
    GroupsOptions,
    TrainingOptions,
    LossOptions,
    AugmentationOptions,
    DomainOptions,
    NightOptions,
    EvaluationOptions,
    ReportOptions,
    HubOptions,
    RunningOptions,
    LocalizationOptions,
    SoupOptions,
    CheckOptions,
    DescribeOptions,
)
OPTIONS = tuple(option for group in GROUPS for option in options_of(group))
# what the results of a training depend on: a run is not resumed with other values
RESULT_OPTIONS = tuple(option.name for option in OPTIONS if option.results)


def taken_by(script: str) -> dict[str, Option]:
    """{name: option} of the options that a script uses."""
    return {option.name: option for option in OPTIONS if script in option.scripts}


def default_of(name: str) -> object:
    """The default of the option of a name."""
    return next(option.default for option in OPTIONS if option.name == name)
