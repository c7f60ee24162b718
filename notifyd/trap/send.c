/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/trap/send.c - SNMPv2-Trap and Inform PDUs with the variables of understudyEventRaised. */
#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>

#include "notifyd/trap/send.h"

#include <string.h>
#include <time.h>

#include "snmp/oid.h"
#include "snmp/text.h"

#define MOST_TEXT     1024 /* UnderstudyText */
#define NAME          "understudy-trap"
#define TRY_MS        1000 /* an inform that is not answered is said again */

/* Columns of understudyEventTable, in the order of the notification's objects. */
enum { EVENT_TIME = 2, EVENT_PRIORITY = 4, EVENT_APPLICATION, EVENT_NAME, EVENT_DESCRIPTION, EVENT_REFERENCE, EVENT_DEVICE };
enum { EVENT_RECOVERY = 8, EVENT_MESSAGE = 9 };

void trap_library_begin(void)
{
	/* Else it reads every MIB of the machine, and everybody's settings for its own tools. */
	g_setenv("MIBS", "", TRUE);
	g_setenv("MIBDIRS", "/nonexistent", TRUE);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_PERSIST_STATE, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_LOAD, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_SAVE, 1);
	snmp_disable_log();
	init_snmp(NAME);
}

/* ---- The message ---- */

static void add_octets(netsnmp_pdu *pdu, const Oid *name, const void *data, gsize n)
{
	oid ids[OID_MAX];

	for (guint i = 0; i < name->n; i++)
		ids[i] = name->ids[i];
	(void)snmp_pdu_add_variable(pdu, ids, name->n, ASN_OCTET_STR, data, n);
}

static void add_number(netsnmp_pdu *pdu, const Oid *name, u_char type, long number)
{
	oid ids[OID_MAX];

	for (guint i = 0; i < name->n; i++)
		ids[i] = name->ids[i];
	(void)snmp_pdu_add_variable(pdu, ids, name->n, type, &number, sizeof(number));
}

/* The root with what follows it. */
static Oid below_root(guint n, const guint32 *ids)
{
	Oid name;

	if (!oid_parse(UNDERSTUDY_OID_ROOT, &name))
		g_error("the OID root is wrong");
	for (guint i = 0; i < n; i++)
		oid_add(&name, ids[i]);
	return name;
}

static Oid column(guint32 number, guint32 id)
{
	return below_root(6, (const guint32[]){ 1, 7, 7, 1, number, id });
}

static Oid scalar(guint32 number)
{
	return below_root(4, (const guint32[]){ 1, 7, number, 0 });
}

static void add_text(netsnmp_pdu *pdu, const Oid *name, const char *text)
{
	g_autofree char *clean = snmp_clean_text(text ? text : "", MOST_TEXT);

	add_octets(pdu, name, clean, strlen(clean));
}

static void add_event(netsnmp_pdu *pdu, const DeliveryJob *job)
{
	static const struct {
		const char *key;
		guint32 column;
	} texts[] = { { "application", EVENT_APPLICATION }, { "name", EVENT_NAME }, { "description", EVENT_DESCRIPTION },
		      { "reference", EVENT_REFERENCE }, { "device", EVENT_DEVICE } };
	g_autofree char *id_text = delivery_job_event(job, "id"), *priority = delivery_job_event(job, "priority");
	g_autofree char *recovery = delivery_job_event(job, "recovery");
	guint64 id = id_text ? g_ascii_strtoull(id_text, NULL, 10) : 0;
	guint32 index = (guint32)MIN(id, G_MAXUINT32);
	guint8 when[SNMP_TIME_BYTES];
	Oid name = column(EVENT_TIME, index);

	snmp_time(job->time_ms, when);
	add_octets(pdu, &name, when, sizeof(when));
	name = column(EVENT_PRIORITY, index);
	add_number(pdu, &name, ASN_GAUGE, priority ? (long)CLAMP(g_ascii_strtoll(priority, NULL, 10), 1, 3) : 1);
	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autofree char *text = delivery_job_event(job, texts[i].key);

		name = column(texts[i].column, index);
		/* A digest, or the test button's message, has no event. */
		if (!text && texts[i].column == EVENT_DESCRIPTION)
			text = g_strdup(job->body);
		if (!text && texts[i].column == EVENT_NAME)
			text = g_strdup(job->subject);
		add_text(pdu, &name, text);
	}
	name = scalar(EVENT_RECOVERY);
	add_number(pdu, &name, ASN_INTEGER, recovery && g_str_equal(recovery, "true") ? 1 : 2);
	name = scalar(EVENT_MESSAGE);
	add_text(pdu, &name, job->id);
}

static netsnmp_pdu *make_pdu(const DeliveryJob *job, bool inform)
{
	static const oid up_time[] = { 1, 3, 6, 1, 2, 1, 1, 3, 0 }, trap_oid[] = { 1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0 };
	netsnmp_pdu *pdu = snmp_pdu_create(inform ? SNMP_MSG_INFORM : SNMP_MSG_TRAP2);
	Oid name = below_root(2, (const guint32[]){ 0, 1 });
	oid ids[OID_MAX];
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	long ticks = (long)((guint32)(now.tv_sec * 100 + now.tv_nsec / 10000000));
	for (guint i = 0; i < name.n; i++)
		ids[i] = name.ids[i];
	(void)snmp_pdu_add_variable(pdu, up_time, G_N_ELEMENTS(up_time), ASN_TIMETICKS, &ticks, sizeof(ticks));
	(void)snmp_pdu_add_variable(pdu, trap_oid, G_N_ELEMENTS(trap_oid), ASN_OBJECT_ID, ids, name.n * sizeof(ids[0]));
	add_event(pdu, job);
	return pdu;
}

/* ---- The session ---- */

static bool set_key(const oid *protocol, size_t n_protocol, const char *password, u_char *key, size_t *n_key)
{
	return generate_Ku(protocol, (u_int)n_protocol, (const u_char *)password, strlen(password), key, n_key) == SNMPERR_SUCCESS;
}

static bool set_user(netsnmp_session *session, const TrapTarget *target)
{
	int auth = usm_lookup_auth_type(target->auth);
	size_t n;
	const oid *protocol = auth >= 0 ? sc_get_auth_oid(auth, &n) : NULL;

	if (!protocol)
		return false;
	session->version = SNMP_VERSION_3;
	session->securityModel = USM_SEC_MODEL_NUMBER;
	session->securityName = target->user;
	session->securityNameLen = strlen(target->user);
	session->securityLevel = target->encrypted ? SNMP_SEC_LEVEL_AUTHPRIV : SNMP_SEC_LEVEL_AUTHNOPRIV;
	session->securityAuthProto = (oid *)protocol; /* all of this is copied as the session opens */
	session->securityAuthProtoLen = n;
	session->securityAuthKeyLen = USM_AUTH_KU_LEN;
	if (!set_key(protocol, n, target->auth_password, session->securityAuthKey, &session->securityAuthKeyLen))
		return false;
	if (!target->encrypted)
		return true;
	session->securityPrivProto = (oid *)usmAESPrivProtocol;
	session->securityPrivProtoLen = OID_LENGTH(usmAESPrivProtocol);
	session->securityPrivKeyLen = USM_PRIV_KU_LEN;
	return set_key(protocol, n, target->priv_password, session->securityPrivKey, &session->securityPrivKeyLen);
}

/* We are the one that says what time it is: the receiver must know our engine id. */
static void set_engine(netsnmp_session *session, const TrapEngine *engine)
{
	session->securityEngineID = (u_char *)engine->id;
	session->securityEngineIDLen = engine->n_id;
	session->contextEngineID = (u_char *)engine->id;
	session->contextEngineIDLen = engine->n_id;
	session->engineBoots = engine->boots;
	session->engineTime = engine->time_s;
	session->flags |= SNMP_FLAGS_DONT_PROBE;
	(void)set_enginetime(engine->id, (u_int)engine->n_id, engine->boots, engine->time_s, TRUE);
}

static char *session_error(netsnmp_session *session, int *ret_code)
{
	char *text = NULL, *words;
	int library, code;

	snmp_error(session, &library, &code, &text);
	words = g_strdup(text ? text : "net-snmp does not say why");
	free(text);
	if (ret_code)
		*ret_code = code;
	return words;
}

/* What will not be other the next time. */
static bool is_final(int code)
{
	switch (code) {
	case SNMPERR_UNKNOWN_USER_NAME:
	case SNMPERR_UNSUPPORTED_SEC_LEVEL:
	case SNMPERR_AUTHENTICATION_FAILURE:
	case SNMPERR_DECRYPTION_ERR:
		return true;
	default:
		return false;
	}
}

static DeliveryOutcome inform(netsnmp_session *session, netsnmp_pdu *pdu, char **ret_words)
{
	netsnmp_pdu *answer = NULL;
	int status = snmp_synch_response(session, pdu, &answer), code = 0;
	DeliveryOutcome outcome = DELIVERY_RETRY;

	if (status == STAT_SUCCESS && answer->errstat == SNMP_ERR_NOERROR) {
		outcome = DELIVERY_ACCEPTED;
		*ret_words = g_strdup("acknowledged");
	} else if (status == STAT_SUCCESS) {
		*ret_words = g_strdup_printf("the receiver answers: %s", snmp_errstring((int)answer->errstat));
	} else if (status == STAT_TIMEOUT) {
		*ret_words = g_strdup("the receiver does not acknowledge it");
	} else {
		*ret_words = session_error(session, &code);
		if (is_final(code))
			outcome = DELIVERY_REFUSED;
	}
	if (answer)
		snmp_free_pdu(answer);
	return outcome;
}

static DeliveryOutcome trap(netsnmp_session *session, netsnmp_pdu *pdu, char **ret_words)
{
	if (snmp_send(session, pdu)) {
		*ret_words = g_strdup("sent; nobody acknowledges a trap");
		return DELIVERY_ACCEPTED;
	}
	*ret_words = session_error(session, NULL);
	snmp_free_pdu(pdu);
	return DELIVERY_RETRY;
}

DeliveryOutcome trap_send(const DeliveryJob *job, const TrapTarget *target, const TrapEngine *engine, const char *address, gint64 timeout_ms,
			  char **ret_words)
{
	netsnmp_session wanted, *session;
	DeliveryOutcome outcome;

	snmp_sess_init(&wanted);
	wanted.peername = (char *)address;
	/* The question for the receiver's engine id, and its clock, wait as long each. */
	wanted.timeout = (long)MIN(TRY_MS, timeout_ms) * 1000;
	wanted.retries = (int)CLAMP(timeout_ms / TRY_MS / 2, 1, 30) - 1;
	if (target->v3) {
		if (!set_user(&wanted, target)) {
			*ret_words = g_strdup_printf("%s with this password cannot be used here", target->auth);
			return DELIVERY_REFUSED;
		}
		if (engine)
			set_engine(&wanted, engine);
	} else {
		wanted.version = SNMP_VERSION_2c;
		wanted.community = (u_char *)target->community;
		wanted.community_len = strlen(target->community);
	}
	session = snmp_open(&wanted);
	if (!session) {
		int code;

		*ret_words = session_error(&wanted, &code);
		return is_final(code) ? DELIVERY_REFUSED : DELIVERY_RETRY;
	}
	netsnmp_pdu *pdu = make_pdu(job, target->inform);
	outcome = target->inform ? inform(session, pdu, ret_words) : trap(session, pdu, ret_words);
	snmp_close(session);
	return outcome;
}
