"""The paper's tables by name. Rows that the paper does not have are marked "ours"."""

from scapnet.experiments.tables.gate import FIG9, TABLE6, TABLE7
from scapnet.experiments.tables.losses import TABLE12
from scapnet.experiments.tables.modules import TABLE4, TABLE5
from scapnet.experiments.tables.networks import TABLE3, TABLE11
from scapnet.experiments.tables.parts import TABLE8, TABLE9, TABLE10

TABLES = {
    table.name: table
    for table in (TABLE3, TABLE4, TABLE5, TABLE6, TABLE7, TABLE8, TABLE9, TABLE10, TABLE11, TABLE12, FIG9)
}
