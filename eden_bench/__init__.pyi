"""The public names of eden-bench and the modules that they come from; ``__init__.py`` loads them by this list."""
# isort: skip_file

from eden_bench.api import (
    pretrain as pretrain,
    results as results,
    run as run,
)
from eden_bench.case_statistics import (
    register_statistic as register_statistic,
)
from eden_bench.contracts import (
    Anchor as Anchor,
    Box as Box,
    Cell as Cell,
    Context as Context,
    Dataset as Dataset,
    DatasetCard as DatasetCard,
    DatasetIndex as DatasetIndex,
    EncoderSource as EncoderSource,
    Features as Features,
    Finding as Finding,
    Item as Item,
    Method as Method,
    MethodCard as MethodCard,
    MethodConfig as MethodConfig,
    OpenTask as OpenTask,
    Outcome as Outcome,
    PretrainConfig as PretrainConfig,
    PretrainData as PretrainData,
    Progress as Progress,
    Pyramid as Pyramid,
    Schedule as Schedule,
    ScoreDefinition as ScoreDefinition,
    Stage as Stage,
    Task as Task,
    View as View,
    ViewRecipe as ViewRecipe,
    Views as Views,
    no_progress as no_progress,
)
from eden_bench.contracts.pretrain_method import (
    PretrainMethod as PretrainMethod,
)
from eden_bench.embedding import (
    embed as embed,
)
from eden_bench.encoders import (
    Encoder as Encoder,
    build_encoder as build_encoder,
    seeded as seeded,
)
from eden_bench.errors import (
    CellsFailed as CellsFailed,
    DataDamaged as DataDamaged,
    DataMissing as DataMissing,
    EdenError as EdenError,
    PluginError as PluginError,
    UsageError as UsageError,
    WeightsMissing as WeightsMissing,
    WeightsRefused as WeightsRefused,
)
from eden_bench.records import (
    Record as Record,
)
from eden_bench.registry import (
    load_plugin_file as load_plugin_file,
    register_dataset as register_dataset,
    register_method as register_method,
    register_task as register_task,
)

__version__: str
__all__: list[str]
