"""Requests on resources: each HTTP method turned into the operation it stands for."""

from __future__ import annotations

from aiohttp import web

from lab.api import binding, deletion, eviction, nodes, older_versions, options, patch, server_side_apply, token_request
from lab.api.caller import Attributes, Caller
from lab.api.context import Context
from lab.api.errors import Object, StatusError, bad_request, method_not_allowed, unknown_path
from lab.api.lists import Page
from lab.api.negotiate import PARTIAL, PLAIN, TABLE, Form, decode_body, encode_answer, parse_accept
from lab.api.resources import Place
from lab.api.routes import Route, find_kind
from lab.api.selectors import Selector
from lab.api.selectors import parse as parse_selector
from lab.api.stored import Stored
from lab.api.tables import partial, table
from lab.api.validation import wrong_type
from lab.api.watch import Stream, WatchRequest


async def handle(request: web.Request, context: Context, caller: Caller, route: Route) -> web.StreamResponse:
    """Answer a request on a collection, an object or a subresource."""
    place = route.place
    watching = route.legacy_watch or (not place.name and options.is_true(request.query.get("watch")))
    if place.subresource not in ("", "status", "finalize"):
        return await _subresource(request, context, caller, route)
    if watching and request.method == "GET":
        return await _watch(request, context, route)
    if not place.name:
        return await _collection(request, context, caller, place)
    return await _object(request, context, caller, route)


async def _collection(request: web.Request, context: Context, caller: Caller, place: Place) -> web.Response:
    if request.method == "GET":
        return await _list(request, context, place)
    if place.kind.namespaced and not place.namespace:
        raise method_not_allowed()
    if request.method == "POST":
        return await _create(request, context, caller, place)
    if request.method == "DELETE":
        return await _delete_collection(request, context, place)
    raise method_not_allowed()


async def _object(request: web.Request, context: Context, caller: Caller, route: Route) -> web.Response:
    place = route.place
    if request.method == "GET":
        return await _get(request, context, place)
    if request.method == "PUT":
        return await _replace(request, context, caller, place)
    if request.method == "PATCH" and place.subresource != "finalize":
        return await _patch(request, context, caller, route)
    if request.method == "DELETE" and not place.subresource:
        return await _delete(request, context, place)
    raise method_not_allowed()


async def _get(request: web.Request, context: Context, place: Place) -> web.Response:
    form = parse_accept(request.headers.get("Accept", ""))
    version = request.query.get("resourceVersion", "")
    if version.isdigit():
        await context.lister.wait_for(int(version))
    return _answer(request, context.resources.get(place.kind, place.namespace, place.name), form)


def _answer(request: web.Request, stored: Stored, form: Form, status: int = 200) -> web.Response:
    """One object in the form that the client asked for."""
    if form.kind == TABLE:
        meta = {"resourceVersion": str(stored.version)}
        include = request.query.get("includeObject", "")
        return json_answer(table(stored.kind, [stored], meta, form.version, include), form, status)
    if form.kind == PARTIAL:
        return json_answer(partial(stored, form.version), form, status)
    if form.yaml:
        return json_answer(stored.body, form, status)
    return web.Response(body=stored.json, status=status, content_type="application/json")


def json_answer(body: object, form: Form, status: int = 200) -> web.Response:
    return web.Response(body=encode_answer(body, form), status=status, content_type=form.content_type)


def _selector(place: Place, parsed: options.ListOptions) -> Selector:
    fields = parsed.field_selector
    if place.name:
        fields = ",".join(filter(None, (fields, f"metadata.name={place.name}")))
    return parse_selector(place.kind, parsed.label_selector, fields)


async def _list(request: web.Request, context: Context, place: Place) -> web.Response:
    form = parse_accept(request.headers.get("Accept", ""))
    parsed = options.list_options(request.query, watch=False)
    page = await context.lister.page(place.kind, place.namespace, _selector(place, parsed), parsed)
    if form.kind == TABLE:
        include = request.query.get("includeObject", "")
        return json_answer(table(place.kind, page.items, page.meta, form.version, include), form)
    if form.kind == PARTIAL:
        if "as=PartialObjectMetadataList" not in request.headers.get("Accept", ""):
            noun = f"*core.{place.kind.name}List"
            text = f"you requested PartialObjectMetadata, but the requested object is a list ({noun})"
            raise StatusError(406, "NotAcceptable", text)
        items = [partial(item, form.version) for item in page.items]
        return json_answer({
            "kind": "PartialObjectMetadataList", "apiVersion": f"meta.k8s.io/{form.version}", "metadata": page.meta,
            "items": items,
        }, form)
    if form.yaml:
        items = [item.body for item in page.items]
        head = {"kind": f"{place.kind.name}List", "apiVersion": place.kind.api_version, "metadata": page.meta}
        return json_answer({**head, "items": items}, form)
    return _plain_list(place, page)


def _plain_list(place: Place, page: Page) -> web.Response:
    head_bytes = encode_answer(
        {"kind": f"{place.kind.name}List", "apiVersion": place.kind.api_version, "metadata": page.meta}, Form()
    )
    body = head_bytes[:-1] + b',"items":[' + b",".join(item.list_item for item in page.items) + b"]}"
    return web.Response(body=body, content_type="application/json")


async def _watch(request: web.Request, context: Context, route: Route) -> web.StreamResponse:
    place = route.place
    form = parse_accept(request.headers.get("Accept", ""))
    parsed = options.list_options(request.query, watch=True)
    _ = parsed.version_number
    stream = Stream(context.store, WatchRequest(
        place.kind, place.namespace, _selector(place, parsed), form, request.query.get("includeObject", ""), parsed,
    ))
    response = web.StreamResponse(headers={
        "Content-Type": "application/json", "Cache-Control": "no-cache, private",
    })
    response.enable_chunked_encoding()
    await response.prepare(request)
    try:
        async for chunk in stream.chunks():
            await response.write(older_versions.text(route, chunk))
        await response.write_eof()
    except ConnectionError:
        # The client has gone; that is how most watches end.
        pass
    return response


async def _read(request: web.Request, kind: str) -> Object:
    body = decode_body(await request.read(), request.headers.get("Content-Type", ""), kind)
    if not isinstance(body, dict):
        raise bad_request(f"the object provided is unrecognized (must be of type {kind})")
    return body


def _check_type(place: Place, body: Object) -> None:
    kind = place.kind
    given_kind, given_version = body.get("kind"), body.get("apiVersion")
    served = [f"{kind.group}/{version}" for version in kind.versions] if kind.group else [kind.version]
    if kind.custom and given_version and given_version not in served:
        raise bad_request(f"the API version in the data ({given_version}) does not match the expected API version "
                          f"({kind.api_version})")
    if given_kind and given_kind != kind.name:
        raise bad_request(f'{given_kind} in version "{kind.version}" cannot be handled as a {kind.name}: converting '
                          f"({kind.version}.{given_kind}) to (core.{kind.name}): unknown conversion")
    if given_version and given_version not in served:
        raise bad_request(f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: no kind '
                          f'"{kind.name}" is registered for version "{given_version}" in scheme '
                          '"pkg/api/legacyscheme/scheme.go:30"')
    wrong = wrong_type(kind, body)
    if wrong:
        raise bad_request(f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: {wrong}')


async def _create(request: web.Request, context: Context, caller: Caller, place: Place) -> web.Response:
    form = parse_accept(request.headers.get("Accept", ""))
    body = await _read(request, place.kind.name)
    _check_type(place, body)
    dry_run = options.dry_run(request.query, "CreateOptions")
    options.check_field_validation(request.query, "CreateOptions")
    return _answer(request, context.resources.create(place, body, caller, dry_run=dry_run), form, 201)


async def _replace(request: web.Request, context: Context, caller: Caller, place: Place) -> web.Response:
    form = parse_accept(request.headers.get("Accept", ""))
    body = await _read(request, place.kind.name)
    _check_type(place, body)
    dry_run = options.dry_run(request.query, "UpdateOptions")
    stored = context.resources.update(place, lambda _: body, caller, dry_run=dry_run, unconditional=False)
    return _answer(request, stored, form)


async def _patch(request: web.Request, context: Context, caller: Caller, route: Route) -> web.Response:
    place = route.place
    form = parse_accept(request.headers.get("Accept", ""))
    content_type = request.headers.get("Content-Type", "").partition(";")[0].strip()
    if content_type == server_side_apply.APPLY_PATCH:
        wanted = server_side_apply.parse(place, route.version, request.query, await request.read())
        if context.store.get(place.kind, place.namespace, place.name) is None:
            creating = Attributes("create", place.kind.group, place.kind.plural, "", place.namespace, place.name)
            context.authorizer.require(caller, creating)
        created, applied = server_side_apply.apply(context.resources, wanted, caller)
        return _answer(request, applied, form, 201 if created else 200)
    patch.check_type(place.kind, content_type)
    dry_run = options.dry_run(request.query, "PatchOptions")
    options.check_patch(request.query)
    data = await request.read()
    context.resources.get(place.kind, place.namespace, place.name)
    document = patch.decode(content_type, data)
    stored = context.resources.update(
        place, lambda body: patch.apply(place.kind, content_type, document, body), caller, dry_run=dry_run
    )
    return _answer(request, stored, form)


async def _delete_options(request: web.Request) -> deletion.DeleteOptions:
    data = await request.read()
    body = decode_body(data, request.headers.get("Content-Type", ""), "", empty_is_none=True)
    return deletion.parse_options(request.query, body, options.dry_run(request.query, "DeleteOptions"))


async def _delete(request: web.Request, context: Context, place: Place) -> web.Response:
    gone, stored = deletion.delete(context.resources, place, await _delete_options(request))
    if gone and not deletion.answers_with_object(place.kind):
        return json_answer(deletion.success(stored), Form())
    return _answer(request, stored, Form())


async def _delete_collection(request: web.Request, context: Context, place: Place) -> web.Response:
    wanted = await _delete_options(request)
    parsed = options.list_options(request.query, watch=False)
    page = await context.lister.page(place.kind, place.namespace, _selector(place, parsed), parsed)
    for item in page.items:
        deletion.delete(context.resources, Place(place.kind, item.namespace, item.name), wanted)
    return _plain_list(place, page)


async def _subresource(request: web.Request, context: Context, caller: Caller, route: Route) -> web.StreamResponse:
    place, name = route.place, route.place.subresource
    if name in ("binding", "eviction"):
        if request.method != "POST":
            raise method_not_allowed()
        dry_run = options.dry_run(request.query, "CreateOptions")
        body = await _read(request, name.capitalize())
        if name == "eviction":
            answer = eviction.evict(context.resources, place, body, caller, dry_run=dry_run)
        else:
            answer = binding.bind(context.resources, place, body, caller)
        return json_answer(answer, Form(PLAIN), 201)
    if name == "token":
        if request.method != "POST":
            raise method_not_allowed()
        body = await _read(request, "TokenRequest")
        return json_answer(token_request.answer(context, place, body), Form(PLAIN), 201)
    if name == "log":
        return await _log(request, context, place)
    if name == "proxy":
        find = nodes.service_target if place.kind.name == "Service" else nodes.pod_target
        url = f"{find(context.store, place.namespace, place.name)}/{route.rest}"
        return await context.dialer.forward(request, url)
    if find_kind(place.kind.group, place.kind.version, place.kind.plural) is None:
        raise unknown_path()
    raise StatusError(501, "NotImplemented", f"the lab does not serve {place.kind.plural}/{name}")


async def _log(request: web.Request, context: Context, place: Place) -> web.StreamResponse:
    if request.method != "GET":
        raise method_not_allowed()
    pod = context.resources.get(place.kind, place.namespace, place.name).body
    containers = [item["name"] for item in (pod.get("spec") or {}).get("containers") or []]
    name = request.query.get("container") or (containers[0] if containers else "")
    if name not in containers:
        raise bad_request(f"container {name} is not valid for pod {place.name}")
    if not (pod.get("spec") or {}).get("nodeName"):
        raise bad_request(f"pod {place.name} does not have a host assigned")
    url = f"{nodes.agent_url(context.store, pod)}/containerLogs/{place.namespace}/{place.name}/{name}"
    return await context.dialer.forward(request, url)
