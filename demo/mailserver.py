# SPDX-License-Identifier: LGPL-2.1-or-later
"""A mail server of one mailbox for the demo: aiosmtpd, STARTTLS, a password. Prints a line of JSON for each mail: when it came, on the
monotonic clock, for whom, and its text. Arguments: address, port, file with certificate and key, user. The password comes first on the input."""

import asyncio
import email
import email.policy
import json
import ssl
import sys
import time

from aiosmtpd.smtp import SMTP, AuthResult


class Mailbox:
    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802  (aiosmtpd's name)
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        print(json.dumps({"at": time.monotonic(), "to": envelope.rcpt_tos, "text": mail["subject"] or ""}), flush=True)
        return "250 stored"


async def serve(address, port, certificate, user, password):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def check(_server, _session, _envelope, _mechanism, shown):
        return AuthResult(success=(shown.login, shown.password) == (user.encode(), password.encode()))

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Mailbox(), hostname="mail.example.com", tls_context=context, require_starttls=True, authenticator=check,
                                                   auth_required=True, loop=loop), address, port)
    print("listening", flush=True)
    await server.serve_forever()


asyncio.run(serve(*sys.argv[1:5], sys.stdin.readline().rstrip("\n")))
