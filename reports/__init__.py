"""What is concluded from a record: verdicts, checks, renderings."""

from reports.publishing import publish

__all__ = ["publish"]
