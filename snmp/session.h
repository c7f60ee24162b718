/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snmp/session.h - the connection to snmpd, which may be absent, restart or hang: nothing here ever waits for it.
 *
 * It is tried again after 250 ms, doubling to 5 s. Whoever is slow to take what we say is dropped.
 */
#pragma once

#include "snmp/oid.h"

typedef struct AgentxSession AgentxSession;

/* What is served now; borrowed until the loop runs again. Asked at each request. */
typedef const MibView *(*AgentxViewCb)(gpointer user_data);

/* @path: of the master's socket. @id names us to it. */
AgentxSession *agentx_session_new(const char *path, const Oid *id, AgentxViewCb view, gpointer user_data);
void agentx_session_free(AgentxSession *session); /* NULL is fine */

/* What is served: these subtrees and no others. */
void agentx_session_serve(AgentxSession *session, const Oid *subtrees, guint n);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentxSession, agentx_session_free)
