/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notifyd/mail/shim.h - three functions that libesmtp calls, with what it lacks.
 *
 * A function of the program comes before one of a library with the same name, for the libraries too. So these stand where libesmtp calls:
 *
 * connect(): libesmtp waits for each address as long as the kernel does, takes a colon in an address for the port's, and knows a server only by the
 * name at the end of a CNAME. It is told to connect to MAIL_SHIM_SERVER, and gets the connection that is there already. Any other address is connected to as ever.
 *
 * poll(): asked whether a connection can be read or written, libesmtp reads first. Under TLS 1.3 what there is to read may be a session ticket; the
 * read then waits for the answer to a command that is still in the buffer. So of one connection asked for both, writing is told first.
 *
 * auth_set_mechanism(): libesmtp takes the first mechanism of the server's list for which it has a plugin, and cannot be told otherwise. Some
 * servers begin with NTLM, which needs MD4, which OpenSSL 3 no longer gives. So only PLAIN and LOGIN are there.
 */
#pragma once

#define MAIL_SHIM_SERVER "192.0.2.1:9" /* TEST-NET-1 (RFC 5737): nobody is there */

/* What the next connect() to MAIL_SHIM_SERVER gets; taken over. */
void mail_shim_give(int fd);

/* From here on no poll() waits longer. */
void mail_shim_hurry(int patience_ms);
