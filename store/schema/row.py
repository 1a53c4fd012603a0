"""What all tables share: how a Python type is kept, and how a key is."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar

from sqlalchemy import BigInteger, Integer, LargeBinary
from sqlalchemy.orm import DeclarativeBase, mapped_column

from store.types import ExactDecimal, UtcMoment, Words

Key = Annotated[str, mapped_column(Words, primary_key=True)]
MomentKey = Annotated[datetime, mapped_column(UtcMoment, primary_key=True)]
NumberKey = Annotated[int, mapped_column(BigInteger, primary_key=True, autoincrement=False)]
Serial = Annotated[
    int, mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
]


class Row(DeclarativeBase):
    """What all tables share: how a Python type is kept."""

    type_annotation_map: ClassVar = {
        bytes: LargeBinary,
        datetime: UtcMoment,
        Decimal: ExactDecimal,
        int: BigInteger,
        str: Words,
    }
