"""A bot that gets its webhooks with pywa, which checks their signatures itself. Prints its port, then one JSON line for each."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pywa import WhatsApp
from pywa.utils import HUB_SIG

stage = json.loads(sys.argv[1])
wa = WhatsApp(phone_id=stage["sender"], token="EAAMADEUP", app_secret=stage["secret"], verify_token="v", validate_updates=True)


def told(**line):
    print(json.dumps(line), flush=True)


@wa.on_message
def message(_, message):
    told(kind="message", id=message.id, sender=message.from_user.wa_id, text=message.text)


@wa.on_message_status
def status(_, status):
    told(kind="status", id=status.id, status=str(status.status.value), code=status.error and status.error.code)


class Bot(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refused = wa.webhook_update_validator(body, self.headers.get(HUB_SIG))
        told(kind="signature", genuine=refused is None)
        text, code = refused or wa.webhook_update_handler(body)
        answer = text.encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Bot)
told(port=server.server_port)
server.serve_forever()
