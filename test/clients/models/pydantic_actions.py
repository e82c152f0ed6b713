"""What agents do: calls, queries, changes, and formats of the network."""

import datetime
import enum
import ipaddress
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

from pydantic import (
    AnyUrl,
    AwareDatetime,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    FiniteFloat,
    HttpUrl,
    Json,
    JsonValue,
    SecretStr,
    StrictBool,
    StrictInt,
    field_validator,
)

Text = Annotated[str, Field(max_length=16)]
Id = Annotated[str, Field(pattern=r"^[a-z]{2,8}_[0-9]{3}$")]


class Search(BaseModel):
    """Looks something up."""

    query: str = Field(description="What to look for", max_length=20)
    limit: int = Field(10, ge=1, le=50)
    sort: Literal["asc", "desc"] | None = Field(None, description="The order")


class Operator(enum.Enum):
    eq = "="
    lt = "<"


class Condition(BaseModel):
    field: Literal["name", "date"]
    operator: Operator
    value: Union[Text, int, Literal[True]]


class Query(BaseModel):
    table: Literal["users", "orders"]
    where: list[Condition] = Field(max_length=2)


class Circle(BaseModel):
    type: Literal["circle"]
    radius: float = Field(gt=0, le=10)


class Square(BaseModel):
    # Has a default, so that the schema lets it be absent.
    type: Literal["square"] = "square"
    side: float = Field(gt=0, le=10)


class Drawing(BaseModel):
    shape: Circle | Square = Field(discriminator="type")


class Shapes(BaseModel):
    shapes: list[Annotated[Circle | Square, Field(discriminator="type")]] = Field(max_length=2)


class Number(BaseModel):
    op: Literal["number"]
    value: int = Field(ge=0, le=99)


class Add(BaseModel):
    op: Literal["add"]
    left: "Node"
    right: "Node"


Node = Annotated[Union[Number, Add], Field(discriminator="op")]


class Expression(BaseModel):
    root: Node


class Base(BaseModel):
    id: Id
    dry_run: StrictBool = Field(serialization_alias="dryRun")


class Create(Base):
    name: Text


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", str_max_length=12)

    id: Id
    note: str


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: Id


class Empty(BaseModel):
    """Has no arguments."""


class Command(BaseModel):
    command: tuple[Literal["run"], Literal["build", "test"]]
    env: dict[Annotated[str, Field(pattern="^[A-Z_]{1,8}$")], Text]
    timeout_ms: StrictInt | None = Field(ge=100, le=60_000)


class AddValue(BaseModel):
    op: Literal["add"]
    path: Text
    value: int


class Remove(BaseModel):
    op: Literal["remove"]
    path: Text


class Patch(BaseModel):
    operations: list[Annotated[AddValue | Remove, Field(discriminator="op")]] = Field(
        min_length=1, max_length=2
    )


class Host(BaseModel):
    v4: ipaddress.IPv4Address
    v6: ipaddress.IPv6Address | None
    any: Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


class Link(BaseModel):
    label: Text
    url: AnyUrl | None


class Bookmark(BaseModel):
    url: Annotated[HttpUrl, Field(max_length=40)] | None


class Login(BaseModel):
    user: Text
    password: SecretStr = Field(min_length=4, max_length=12)


class Version(BaseModel):
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$", max_length=11)


class Slug(BaseModel):
    slug: str = Field(min_length=3, max_length=12, pattern="^[a-z0-9-]+$")


class Step(BaseModel):
    by: int = Field(multiple_of=5, ge=0, le=100)


class Share(BaseModel):
    part: FiniteFloat = Field(ge=0, le=1)
    size: ByteSize


class Limits(BaseModel):
    low: int = Field(gt=-5, lt=5)
    high: float = Field(lt=1e6, gt=-1e6, description="Not less than low")

    @field_validator("high")
    @classmethod
    def finite(cls, value: float) -> float:
        return value


class Thought(BaseModel):
    thought: str = Field(max_length=30)
    tool: Literal["search", "write"]
    done: bool


class Plan(BaseModel):
    thoughts: list[Thought] = Field(min_length=1, max_length=2)
    fallback: Thought | None = None


class Extraction(BaseModel):
    people: list[Text] = Field(max_length=2)
    date: datetime.date | None
    kinds: frozenset[Literal["a", "b", "c"]]


class Meeting(BaseModel):
    at: AwareDatetime
    invited: dict[uuid.UUID, bool] = Field(max_length=2)


@dataclass
class Size:
    width: Annotated[int, Field(ge=1, le=99)]
    height: Annotated[int, Field(ge=1, le=99)] = 1


class Picture(BaseModel):
    size: Size
    title: Text = Field(title="The title", deprecated=True)


class Payload(BaseModel):
    name: Text
    data: JsonValue


class Anything(BaseModel):
    name: Text
    value: Any


class Encoded(BaseModel):
    body: Json[list[int]] | None


ACTIONS = [
    *(Search, Query, Drawing, Shapes, Expression, Create, Strict, Loose, Empty, Command, Patch),
    *(Host, Link, Bookmark, Login, Version, Slug, Step, Share, Limits, Plan, Extraction, Meeting),
    *(Picture, Payload, Anything, Encoded),
]
"""Their JSON Schemas say less than they check."""
ACTIONS_BEYOND_SCHEMA = [Drawing, Shapes, Link, Bookmark, Share, Encoded]
