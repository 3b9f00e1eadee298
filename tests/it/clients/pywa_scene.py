"""The scene that clients.rs describes, played with pywa. Prints one JSON line for each step."""

import hashlib
import json
import sys

import httpx
from pywa import WhatsApp
from pywa.errors import WhatsAppError
from pywa.types import Button, Contact, Section, SectionList, SectionRow
from pywa.types.others import Pagination
from pywa.types.templates import BodyText, TemplateLanguage

stage = json.loads(sys.argv[1])


class ThroughGate(httpx.HTTPTransport):
    """Takes requests for graph.facebook.com to the gate."""

    def __init__(self, gate: str):
        super().__init__()
        self.gate = httpx.URL(gate)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        gate = self.gate
        request.url = request.url.copy_with(scheme=gate.scheme, host=gate.host, port=gate.port)
        request.headers["Host"] = gate.netloc.decode()
        return super().handle_request(request)


session = httpx.Client(mounts={"all://graph.facebook.com": ThroughGate(stage["gate"])})
wa = WhatsApp(phone_id=stage["sender"], waba_id=stage["account"], token=stage["token"], session=session)


def step(name, act):
    """Plays one step and prints what came of it; gives its result to later steps."""
    result, line = None, {"step": name}
    try:
        result = act()
        line["result"] = result
    except WhatsAppError as error:
        line["error"] = {
            "class": type(error).__name__,
            "code": error.code,
            "message": error.message,
            "details": error.details,
            "trace": error.fbtrace_id,
            "status": error.status_code,
            "transient": error.is_transient,
        }
    print(json.dumps(line), flush=True)
    return result


def template(to, name):
    return wa.send_template(
        to=to, name=name, language=TemplateLanguage.ENGLISH_US, params=[BodyText.params("X-17")]
    ).id


def pages():
    found, after = [], None
    while True:
        page = wa.get_templates(pagination=Pagination(limit=2, after=after))
        found.append([listed.name for listed in page])
        if not page.has_next:
            return found
        after = page.after


friend = stage["friend"]
text = step("text", lambda: wa.send_message(to=friend, text="Hello from pywa").id)
step("text_bare_number", lambda: wa.send_message(to=friend.removeprefix("+"), text="Hello again").id)
step("text_user_id", lambda: wa.send_message(to=stage["friend_id"], text="Hello once more").id)
step("utility_template", lambda: template(friend, "order_update"))
step("marketing_template", lambda: template(friend, "promo_sale"))
step(
    "buttons",
    lambda: wa.send_message(
        to=friend, text="Deliver today?", buttons=[Button("Yes", callback_data="y"), Button("No", callback_data="n")]
    ).id,
)
rows = [SectionRow(title="Morning", callback_data="am"), SectionRow(title="Evening", callback_data="pm")]
step(
    "list",
    lambda: wa.send_message(
        to=friend, text="When?", buttons=SectionList("Times", sections=[Section(title="Today", rows=rows)])
    ).id,
)
photo = bytes.fromhex(stage["photo"])
media = step(
    "upload", lambda: wa.upload_media(media=photo, mime_type="image/jpeg", filename="photo.jpg").id
)
url = step("media_url", lambda: wa.get_media_url(media).url)
step("download", lambda: hashlib.sha256(wa.get_media_bytes(url)).hexdigest())
step("image_by_id", lambda: wa.send_image(to=friend, image=media, caption="A photo").id)
step("image_by_link", lambda: wa.send_image(to=friend, image="https://acme.example/photo.jpg").id)
step("reaction", lambda: wa.send_reaction(to=friend, emoji="👍", message_id=text).id)
step("location", lambda: wa.send_location(to=friend, latitude=52.52, longitude=13.405, name="Berlin").id)
card = Contact(
    name=Contact.Name(formatted_name="Acme Support", first_name="Acme"),
    phones=[Contact.Phone(phone="+15550783881", type="WORK")],
)
step("contacts", lambda: wa.send_contact(to=friend, contact=card).id)
step("read", lambda: bool(wa.mark_message_as_read(message_id=text)))
step("typing", lambda: bool(wa.indicate_typing(message_id=text)))
step("templates", pages)
step("provider_error", lambda: wa.send_message(to=stage["undeliverable"], text="Hello?").id)
step("text_to_stranger", lambda: wa.send_message(to=stage["stranger"], text="Hello, stranger").id)
step("template_to_stranger", lambda: template(stage["stranger"], "order_update"))
step("image_to_stranger", lambda: wa.send_image(to=stage["stranger"], image=media).id)
step("marketing_to_leaver", lambda: template(stage["leaver"], "promo_sale"))
step("utility_to_leaver", lambda: template(stage["leaver"], "order_update"))
