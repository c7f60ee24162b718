/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snmp/agentx.h - AgentX (RFC 2741) as a sub-agent that only answers: bytes in, bytes out. Pure.
 *
 * Our own packets are in network byte order; what comes is read in the order that it says.
 */
#pragma once

#include "snmp/oid.h"

#define AGENTX_HEADER     20
#define AGENTX_MAX_PACKET (256 * 1024) /* of the master's; its longest questions are some kilobytes */

typedef enum {
	AGENTX_OPEN = 1,
	AGENTX_CLOSE,
	AGENTX_REGISTER,
	AGENTX_UNREGISTER,
	AGENTX_GET,
	AGENTX_GET_NEXT,
	AGENTX_GET_BULK,
	AGENTX_TEST_SET,
	AGENTX_COMMIT_SET,
	AGENTX_UNDO_SET,
	AGENTX_CLEANUP_SET,
	AGENTX_NOTIFY,
	AGENTX_PING,
	AGENTX_RESPONSE = 18,
} AgentxType;

/* Errors of a response (RFC 2741, 6.2.16) that mean something to us. */
#define AGENTX_NO_ERROR               0
#define AGENTX_GEN_ERROR              5
#define AGENTX_NOT_WRITABLE           17
#define AGENTX_PARSE_ERROR            266
#define AGENTX_DUPLICATE_REGISTRATION 263

typedef struct {
	guint8 type, flags;
	guint32 session, transaction, packet;
	guint32 length; /* of what follows */
} AgentxHeader;

/* False: not AgentX, or longer than anything we should be asked. @data holds AGENTX_HEADER bytes. */
bool agentx_parse_header(const guint8 *data, AgentxHeader *ret_header) G_GNUC_WARN_UNUSED_RESULT;

/* A response of the master to what we asked: its error, 0 for none. False: malformed. */
bool agentx_parse_response(const AgentxHeader *header, const guint8 *payload, guint *ret_error) G_GNUC_WARN_UNUSED_RESULT;

/* Our answer to a request of the master, from @view; NULL: it wants none. @payload has header->length bytes, whatever they are. */
GByteArray *agentx_answer(const MibView *view, const AgentxHeader *header, const guint8 *payload);

GByteArray *agentx_open(guint32 packet, const Oid *id, const char *description);
GByteArray *agentx_register(guint32 session, guint32 packet, const Oid *subtree, bool remove);
GByteArray *agentx_close(guint32 session, guint32 packet);
