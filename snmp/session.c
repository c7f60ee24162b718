/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/session.c - net-snmp's agent library as an AgentX sub-agent. */
#include "snmp/session.h"

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>
#include <net-snmp/agent/agent_callbacks.h>

#include "snmp/netsnmp-source.h"

#define NAME "understudy-snmp"
/* By which it notices that snmpd is gone, and in which it is looked for again. */
#define PING_S 3
/* How long one question to snmpd may take (net-snmp: 1 s, five times). */
#define ANSWER_US 300000

typedef struct {
	Oid oid;
	netsnmp_handler_registration *registration;
} Subtree;

struct AgentxSession {
	AgentxViewCb view;
	AgentxConnectedCb connected;
	gpointer user_data;
	GArray *subtrees; /* of Subtree */
	GSource *source;
};

/* net-snmp's sub-identifiers are longs. False: longer than any that we have. */
static bool take_oid(const oid *ids, gsize n, Oid *ret_oid)
{
	if (n > OID_MAX)
		return false;
	ret_oid->n = (guint)n;
	for (gsize i = 0; i < n; i++)
		ret_oid->ids[i] = (guint32)ids[i];
	return true;
}

static gsize give_oid(const Oid *from, oid *ids)
{
	for (guint i = 0; i < from->n; i++)
		ids[i] = from->ids[i];
	return from->n;
}

static int set_value(netsnmp_variable_list *variable, const MibValue *value)
{
	gsize n = 0;
	const void *octets = value->octets ? g_bytes_get_data(value->octets, &n) : NULL;

	switch (value->type) {
	case MIB_INTEGER:
		return snmp_set_var_typed_integer(variable, ASN_INTEGER, (long)(gint32)value->number);
	case MIB_COUNTER32:
	case MIB_GAUGE32:
	case MIB_TIME_TICKS:
		return snmp_set_var_typed_integer(variable, value->type, (long)(guint32)value->number);
	case MIB_COUNTER64: {
		struct counter64 counter = { .high = value->number >> 32, .low = value->number & G_MAXUINT32 };

		return snmp_set_var_typed_value(variable, ASN_COUNTER64, &counter, sizeof counter);
	}
	case MIB_OCTETS:
	case MIB_IP_ADDRESS:
		return snmp_set_var_typed_value(variable, value->type, octets ? octets : "", n);
	case MIB_OBJECT_ID:
	case MIB_NO_SUCH_OBJECT:
	case MIB_NO_SUCH_INSTANCE:
	case MIB_END_OF_VIEW:
		break; /* nothing that a view holds */
	}
	return SNMP_ERR_GENERR;
}

static void answer_get(netsnmp_agent_request_info *about, netsnmp_request_info *request, const MibView *view)
{
	netsnmp_variable_list *variable = request->requestvb;
	const MibValue *value;
	Oid oid;

	value = take_oid(variable->name, variable->name_length, &oid) ? mib_view_get(view, &oid) : NULL;
	if (!value)
		(void)netsnmp_request_set_error(request, SNMP_NOSUCHINSTANCE);
	else if (set_value(variable, value) != 0)
		(void)netsnmp_set_request_error(about, request, SNMP_ERR_GENERR);
}

/* One that finds nothing is left as it came: the agent goes on with the next subtree. */
static void answer_next(netsnmp_agent_request_info *about, netsnmp_request_info *request, const MibView *view)
{
	netsnmp_variable_list *variable = request->requestvb;
	const MibValue *value;
	const Oid *found;
	Oid start, end;

	if (!take_oid(variable->name, variable->name_length, &start) || !take_oid(request->range_end, request->range_end_len, &end))
		return;
	value = mib_view_next(view, &start, request->inclusive, &end, &found);
	if (!value)
		return;
	oid ids[OID_MAX];
	if (snmp_set_var_objid(variable, ids, give_oid(found, ids)) != 0 || set_value(variable, value) != 0)
		(void)netsnmp_set_request_error(about, request, SNMP_ERR_GENERR);
}

static int answer(G_GNUC_UNUSED netsnmp_mib_handler *handler, netsnmp_handler_registration *registration, netsnmp_agent_request_info *about,
		  netsnmp_request_info *requests)
{
	AgentxSession *session = registration->my_reg_void;
	const MibView *view = session->view(session->user_data);

	for (netsnmp_request_info *request = requests; request; request = request->next) {
		if (request->processed)
			continue;
		if (about->mode == MODE_GET)
			answer_get(about, request, view);
		else if (about->mode == MODE_GETNEXT)
			answer_next(about, request, view);
	}
	return SNMP_ERR_NOERROR;
}

static void begin_serving(AgentxSession *session, Subtree *subtree)
{
	oid ids[OID_MAX];
	gsize n = give_oid(&subtree->oid, ids);

	subtree->registration = netsnmp_create_handler_registration(NAME, answer, ids, n, HANDLER_CAN_RONLY);
	if (!subtree->registration)
		return;
	subtree->registration->my_reg_void = session;
	if (netsnmp_register_handler(subtree->registration) == MIB_REGISTERED_OK)
		return;
	g_autofree char *text = oid_text(&subtree->oid);
	g_warning("%s: cannot be served", text);
	subtree->registration = NULL; /* freed by the failure */
}

static void stop_serving(Subtree *subtree)
{
	if (subtree->registration)
		(void)netsnmp_unregister_handler(subtree->registration);
	subtree->registration = NULL;
}

static bool has(const Oid *oids, guint n, const Oid *oid)
{
	for (guint i = 0; i < n; i++)
		if (oid_compare(&oids[i], oid) == 0)
			return true;
	return false;
}

void agentx_session_serve(AgentxSession *session, const Oid *subtrees, guint n)
{
	for (guint i = session->subtrees->len; i-- > 0;) {
		Subtree *subtree = &g_array_index(session->subtrees, Subtree, i);

		if (has(subtrees, n, &subtree->oid))
			continue;
		stop_serving(subtree);
		g_array_remove_index(session->subtrees, i);
	}
	for (guint i = 0; i < n; i++) {
		bool known = false;

		for (guint j = 0; j < session->subtrees->len; j++)
			known |= oid_compare(&g_array_index(session->subtrees, Subtree, j).oid, &subtrees[i]) == 0;
		if (known)
			continue;
		g_array_append_val(session->subtrees, ((Subtree){ .oid = subtrees[i] }));
		begin_serving(session, &g_array_index(session->subtrees, Subtree, session->subtrees->len - 1));
	}
}

void agentx_session_notify(G_GNUC_UNUSED AgentxSession *session, const Oid *name, const MibView *objects)
{
	static const oid trap_oid[] = { 1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0 };
	netsnmp_variable_list *list = NULL;
	const Oid no_end = { 0 }, *found;
	Oid at = { 0 };
	oid ids[OID_MAX];
	gsize n = give_oid(name, ids);

	(void)snmp_varlist_add_variable(&list, trap_oid, G_N_ELEMENTS(trap_oid), ASN_OBJECT_ID, ids, n * sizeof(ids[0]));
	for (const MibValue *value; (value = mib_view_next(objects, &at, false, &no_end, &found)); at = *found) {
		n = give_oid(found, ids);
		netsnmp_variable_list *variable = snmp_varlist_add_variable(&list, ids, n, ASN_NULL, NULL, 0);
		if (variable)
			(void)set_value(variable, value);
	}
	/* As a sub-agent's it goes to the master agent, and from there further (RFC 2741, 6.2.10). */
	send_v2trap(list);
	snmp_free_varbind(list);
}

guint32 agentx_session_uptime_ticks(G_GNUC_UNUSED const AgentxSession *session)
{
	return (guint32)netsnmp_get_agent_uptime(); /* the library sets it by each answer of snmpd's */
}

/* ---- The library ---- */

static int on_log(G_GNUC_UNUSED int major, G_GNUC_UNUSED int minor, void *message, G_GNUC_UNUSED void *user_data)
{
	const struct snmp_log_message *said = message;
	g_autofree char *text = g_strchomp(g_strdup(said->msg));

	if (said->priority <= LOG_ERR)
		g_message("%s", text);
	else
		g_debug("%s", text);
	return 0;
}

/* Of the session to snmpd, when there is one. */
static int on_connected(G_GNUC_UNUSED int major, G_GNUC_UNUSED int minor, void *connection, void *user_data)
{
	AgentxSession *session = user_data;
	netsnmp_session *to = connection;

	to->timeout = ANSWER_US;
	to->retries = 0;
	session->connected(true, session->user_data);
	return 0;
}

static int on_disconnected(G_GNUC_UNUSED int major, G_GNUC_UNUSED int minor, G_GNUC_UNUSED void *connection, void *user_data)
{
	AgentxSession *session = user_data;

	session->connected(false, session->user_data);
	return 0;
}

static void begin_library(AgentxSession *session, const char *address)
{
	(void)g_setenv("MIBS", "", TRUE); /* names are not ours to know; it would look for all of them */
	snmp_disable_log();
	snmp_enable_calllog();
	(void)snmp_register_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_LOGGING, on_log, NULL);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_PERSIST_STATE, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_ROLE, 1);
	netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_X_SOCKET, address);
	(void)init_agent(NAME);
	netsnmp_ds_set_int(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_AGENTX_PING_INTERVAL, PING_S); /* init_agent() has its own */
	(void)snmp_register_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_START, on_connected, session);
	(void)snmp_register_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_STOP, on_disconnected, session);
	init_snmp(NAME);
}

AgentxSession *agentx_session_new(const char *address, AgentxViewCb view, AgentxConnectedCb connected, gpointer user_data)
{
	AgentxSession *session = g_new0(AgentxSession, 1);

	session->view = view;
	session->connected = connected;
	session->user_data = user_data;
	session->subtrees = g_array_new(FALSE, FALSE, sizeof(Subtree));
	begin_library(session, address);
	session->source = netsnmp_source_new();
	return session;
}

void agentx_session_free(AgentxSession *session)
{
	if (!session)
		return;
	for (guint i = 0; i < session->subtrees->len; i++)
		stop_serving(&g_array_index(session->subtrees, Subtree, i));
	g_array_unref(session->subtrees);
	g_source_destroy(session->source);
	g_source_unref(session->source);
	snmp_shutdown(NAME);
	shutdown_agent();
	g_free(session);
}
