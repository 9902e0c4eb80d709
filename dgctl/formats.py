"""How answers can be written."""

from enum import StrEnum


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
