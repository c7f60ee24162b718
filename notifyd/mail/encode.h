/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/mail/encode.h - any text as a header or a body of a mail, and what is an address. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define MAIL_SUBJECT_CHARS 200
#define MAIL_BODY_BYTES	   (256 * 1024)

/* Whether @address is local-part@domain in the plain form: no quotes, comments, spaces, nothing outside ASCII. So it is the same in a header, in a
 * command of SMTP and as an argument, and can begin nothing of its own. @local_ok: a name without a domain is one too (sendmail's "root"). */
bool mail_address_check(const char *address, bool local_ok, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* "pbx@example.org" or "The PBX <pbx@example.org>". @ret_name is NULL without one. */
bool mail_parse_mailbox(const char *text, bool local_ok, char **ret_name, char **ret_address, GError **error)
	G_GNUC_WARN_UNUSED_RESULT;

/* @text as the value of a header (RFC 2047 where it is needed), folded; control characters are spaces, and after MAIL_SUBJECT_CHARS there is an
 * ellipsis. The result is ASCII, and each CR LF in it is followed by a space. */
char *mail_encode_header(const char *text);

/* The name before an address, as mail_encode_header() or in quotes. */
char *mail_encode_phrase(const char *name);

/* @text as a body of ASCII lines of at most 76 characters that end with CR LF. Line ends of any kind are line ends, other control characters but tabs are
 * spaces, and what is longer than MAIL_BODY_BYTES is cut, and says so. @ret_encoding is a constant: the Content-Transfer-Encoding. */
char *mail_encode_body(const char *text, const char **ret_encoding);

/* "Tue, 14 Nov 2023 22:13:20 +0000" in English, whatever the locale. */
char *mail_date(gint64 time_ms);
