"""Keep entries in a table of Amazon DynamoDB."""

from .storage import DynamoDBStorage

__all__ = ["DynamoDBStorage"]
