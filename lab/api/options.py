"""What the query of a request asks for, parsed and validated as the real server does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lab.api.errors import StatusError, bad_request, forbidden_value, invalid_options, unsupported

TRUE_TEXTS = ("1", "t", "T", "true", "True", "TRUE")
FALSE_TEXTS = ("", "0", "f", "F", "false", "False", "FALSE")


def is_true(text: str | None) -> bool:
    """A boolean of a query; unparsable text counts as true, as it does in the real server."""
    return text is not None and text not in FALSE_TEXTS


def dry_run(query: Mapping[str, str], options: str) -> bool:
    value = query.get("dryRun")
    if not value:
        return False
    if value != "All":
        raise invalid_options(options, [unsupported("dryRun", f'["{value}"]', ["All"])])
    return True


@dataclass(frozen=True)
class ListOptions:
    """The options of a list or watch."""

    label_selector: str
    field_selector: str
    version: str
    match: str
    limit: int
    token: str
    watch: bool
    bookmarks: bool
    initial_events: bool | None
    timeout_seconds: float | None

    @property
    def version_number(self) -> int:
        """0 when unset. Raises StatusError for text: 400 for a list, 500 for a watch."""
        try:
            return int(self.version or 0)
        except ValueError:
            shown = f'"{self.version}"'
            text = f"resourceVersion: Invalid value: {shown}: strconv.ParseUint: parsing {shown}: invalid syntax"
            if self.watch:
                raise StatusError(500, None, text) from None
            raise bad_request(f"invalid resource version: {text}") from None


def list_options(query: Mapping[str, str], *, watch: bool) -> ListOptions:
    """Raises StatusError 422 for combinations that the API forbids."""
    initial = query.get("sendInitialEvents")
    timeout = query.get("timeoutSeconds", "")
    options = ListOptions(
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
        version=query.get("resourceVersion", ""),
        match=query.get("resourceVersionMatch", ""),
        limit=_integer(query.get("limit", "")),
        token=query.get("continue", ""),
        watch=watch,
        bookmarks=is_true(query.get("allowWatchBookmarks")),
        initial_events=None if initial is None else is_true(initial),
        timeout_seconds=float(_integer(timeout)) if _integer(timeout) > 0 else None,
    )
    causes = _watch_causes(options) if watch else _list_causes(options)
    if causes:
        raise invalid_options("ListOptions", causes)
    return options


def _integer(text: str) -> int:
    return int(text) if text.lstrip("-").isdigit() else 0


def _watch_causes(options: ListOptions) -> list[tuple[str, str, str]]:
    field = "resourceVersionMatch"
    causes = []
    if options.initial_events is None:
        if options.match:
            text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            causes.append(forbidden_value(field, text))
    elif options.match != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        causes.append(forbidden_value(field, text))
        if options.match:
            causes.append(unsupported(field, f'"{options.match}"', ["NotOlderThan"]))
    if options.token:
        causes.append(forbidden_value(field, "resourceVersionMatch is forbidden when continue is provided"))
    return causes


def _list_causes(options: ListOptions) -> list[tuple[str, str, str]]:
    field = "resourceVersionMatch"
    if options.initial_events is not None:
        return [forbidden_value("sendInitialEvents", "sendInitialEvents is forbidden for list")]
    if not options.match:
        return []
    if options.token:
        return [forbidden_value(field, "resourceVersionMatch is forbidden when continue is provided")]
    if not options.version:
        return [forbidden_value(field, "resourceVersionMatch is forbidden unless resourceVersion is provided")]
    if options.match not in ("Exact", "NotOlderThan"):
        return [unsupported(field, f'"{options.match}"', ["Exact", "NotOlderThan", ""])]
    if options.match == "Exact" and options.version == "0":
        return [forbidden_value(field, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')]
    return []


def check_field_validation(query: Mapping[str, str], options: str) -> None:
    """Raises StatusError 422 for an unknown value; the lab keeps unknown fields whatever the value."""
    value = query.get("fieldValidation", "")
    choices = ["", "Ignore", "Strict", "Warn"]
    if value not in choices:
        raise invalid_options(options, [unsupported("fieldValidation", f'"{value}"', choices)])


def check_patch(query: Mapping[str, str]) -> None:
    """Raises StatusError 422 for `force`, which belongs to server-side apply."""
    check_field_validation(query, "PatchOptions")
    if is_true(query.get("force")):
        raise invalid_options("PatchOptions", [forbidden_value("force", "may not be specified for non-apply patch")])
