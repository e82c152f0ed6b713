"""What applications keep: people, orders, documents. Strings mostly have a limit, so that noise comes to an end."""

import datetime
import decimal
import enum
import uuid
from typing import Annotated, Generic, Literal, NamedTuple, Optional, TypeVar, Union

from pydantic import (
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    NonNegativeInt,
    PositiveInt,
    RootModel,
    WithJsonSchema,
    conint,
    conlist,
    constr,
)
from typing_extensions import TypedDict

Name = Annotated[str, Field(min_length=1, max_length=20)]
Tag = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,11}$")]


class Country(str, enum.Enum):
    germany = "DE"
    france = "FR"


class Priority(enum.IntEnum):
    low = 0
    high = 1


class Person(BaseModel):
    """Somebody."""

    name: Name
    age: int = Field(ge=0, le=130)
    email: Optional[EmailStr] = None


class Address(BaseModel):
    street: Name
    city: Name | None = Field(default=None, description="Where it is", examples=["Paris"])
    zip: str = Field(pattern=r"^\d{5}(-\d{4})?$")
    country: Country


class Customer(BaseModel):
    id: uuid.UUID
    address: Address
    vip: bool = False


class Line(BaseModel):
    sku: Tag
    quantity: Annotated[int, Field(gt=0, lt=100)]


class Order(BaseModel):
    id: uuid.UUID
    lines: conlist(Line, min_length=1, max_length=3)
    created: datetime.datetime


class Invoice(BaseModel):
    number: str = Field(pattern=r"^INV-\d{6}$")
    issued: datetime.date
    due: datetime.date | None
    total: float = Field(ge=0, le=1000)


class Price(BaseModel):
    amount: decimal.Decimal = Field(ge=0, le=1000)
    currency: Literal["EUR", "USD"]


class Transfer(BaseModel):
    amount: decimal.Decimal
    reference: str = Field(max_length=16)


class Cents(BaseModel):
    amount: Annotated[
        decimal.Decimal,
        # What pydantic made of Decimal until 2.13.
        WithJsonSchema({"type": "string", "pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"}),
    ]


class Appointment(BaseModel):
    start: datetime.datetime
    at: datetime.time
    title: Name


class Timer(BaseModel):
    length: datetime.timedelta
    name: Name = "timer"


class Flight(BaseModel):
    number: str = Field(pattern=r"^[A-Z]{2}\d{1,4}$")
    origin: str = Field(alias="from", min_length=3, max_length=3, pattern="^[A-Z]+$")
    target: constr(min_length=3, max_length=3) = Field(alias="to")


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=lambda name: f"x{name.title()}", extra="forbid")

    size: int
    colour: Literal["red", "green"]


class Product(BaseModel):
    name: Name
    price: float = Field(multiple_of=0.01, ge=0, le=100)
    tags: set[Literal["new", "sale"]] = Field(max_length=2)
    stock: NonNegativeInt


class Review(BaseModel):
    stars: Literal[1, 2, 3, 4, 5]
    text: str = Field(max_length=30)
    helpful: conint(ge=0, le=999) | None = None


class Settings(BaseModel):
    theme: Literal["light", "dark"] = "light"
    font_size: int = Field(12, ge=8, le=32)
    languages: list[Country] = Field(default_factory=list, max_length=2)


class Category(BaseModel):
    label: Name
    children: list["Category"] = Field(default_factory=list, max_length=2)


class Comment(BaseModel):
    text: Name
    reply: Optional["Comment"] = None


class LinkedList(BaseModel):
    value: int = Field(ge=0, le=9)
    next: Union["LinkedList", None]


class File(BaseModel):
    kind: Literal["file"]
    size: int = Field(ge=0)


class Folder(BaseModel):
    kind: Literal["folder"]
    entries: list[Annotated[Union[File, "Folder"], Field(discriminator="kind")]] = Field(
        max_length=2
    )


class Recipe(BaseModel):
    title: Name
    minutes: PositiveInt = Field(le=240)
    steps: list[Name] = Field(min_length=1, max_length=3)
    diet: Literal["vegan", "any", None]


class Survey(BaseModel):
    answers: list[Union[bool, int, Annotated[str, Field(max_length=10)]]] = Field(max_length=4)


class Grades(BaseModel):
    grades: dict[str, float] = Field(max_length=3)


class Translations(BaseModel):
    texts: dict[Country, Name]


class Inventory(BaseModel):
    counts: dict[Tag, NonNegativeInt]


class Metadata(BaseModel):
    labels: dict[str, str | float | bool | None]


class Scores(BaseModel):
    by_round: dict[int, int]


class Point(BaseModel):
    at: tuple[float, float]


class Row(BaseModel):
    cells: tuple[Tag, int, bool]
    more: tuple[Annotated[int, Field(ge=0, le=9)], ...] = Field(max_length=3)


class Place(NamedTuple):
    x: int
    y: int


class Route(BaseModel):
    stops: list[Place] = Field(max_length=2)


class Options(TypedDict, total=False):
    verbose: bool
    level: Literal[1, 2, 3]


class Job(BaseModel):
    name: Name
    options: Options


Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    items: list[Item] = Field(max_length=2)
    next: str | None = Field(max_length=8)


class Matrix(BaseModel):
    rows: conlist(conlist(int, min_length=2, max_length=2), min_length=2, max_length=2)


class Tags(RootModel[Annotated[list[Tag], Field(max_length=2)]]):
    pass


class Article(BaseModel):
    tags: Tags
    priority: Priority


RECORDS = [
    *(Person, Address, Customer, Order, Invoice, Price, Transfer, Cents, Appointment, Timer, Flight),
    *(Camel, Product, Review, Settings, Category, Comment, LinkedList, Folder, Recipe, Survey),
    *(Grades, Translations, Inventory, Metadata, Scores, Point, Row, Route, Job, Page[Line]),
    *(Matrix, Article),
]
"""Their JSON Schemas say less than they check."""
RECORDS_BEYOND_SCHEMA = [Price, Transfer, Timer, Scores]
