/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snmp/session.h - the AgentX sub-agent: what net-snmp's agent library asks, answered from a sorted list.
 *
 * snmpd may be absent or restart: it is tried again every few seconds. While snmpd hangs, net-snmp waits for it inside its calls, up to 7 s at a
 * time: nothing else may be this process's task.
 */
#pragma once

#include "snmp/oid.h"

typedef struct AgentxSession AgentxSession;

/* What is served now; borrowed until the loop runs again. Asked at each request. */
typedef const MibView *(*AgentxViewCb)(gpointer user_data);

/* There is a session with snmpd now, or there is none any more. */
typedef void (*AgentxConnectedCb)(bool connected, gpointer user_data);

/* @address: of the master, as snmpd names it in agentXSocket: "unix:/var/agentx/master", "tcp:localhost:705". One session a process. */
AgentxSession *agentx_session_new(const char *address, AgentxViewCb view, AgentxConnectedCb connected, gpointer user_data);
void agentx_session_free(AgentxSession *session); /* NULL is fine */

/* What is served: these subtrees and no others. */
void agentx_session_serve(AgentxSession *session, const Oid *subtrees, guint n);

/* How long snmpd has been there, in hundredths of a second, as it said last, and counted on; of no meaning before anybody has asked. */
guint32 agentx_session_uptime_ticks(const AgentxSession *session);

/* The notification @name with @objects, by snmpd to whom its settings name; where no snmpd is connected, to nobody. */
void agentx_session_notify(AgentxSession *session, const Oid *name, const MibView *objects);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentxSession, agentx_session_free)
