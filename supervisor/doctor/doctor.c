/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/doctor/doctor.c - the table of codes, and which of them hold. */
#include "supervisor/doctor/doctor.h"

#include <stdarg.h>
#include <string.h>

#define CHECK_LINK "Look at the cable, the switch port and the interface's name in device.conf."


const DoctorCode doctor_codes[] = {
	/* The pair. */
	{ "not-paired", DOCTOR_ERROR, "Run understudy pair here and understudy join on the second device.", true, NULL },
	{ "peer-revoked", DOCTOR_ERROR, "understudy unpair here, too; or pair and join the two anew.", false, NULL },
	{ "peer-absent", DOCTOR_ERROR, "Switch the other device on; check the peer link and that TCP port peer-port is open between the two.", true, NULL },
	{ "peer-not-backup", DOCTOR_ERROR, "Look at understudy status on the other device: its role and the reason for it.", false, NULL },
	{ "first-sync", DOCTOR_ERROR, "Wait until the first synchronisation is done; understudy status shows it.", false, NULL },
	{ "passive", DOCTOR_ERROR, "understudy mode active, when whatever the passive mode was for is over.", false, NULL },
	{ "peer-passive", DOCTOR_ERROR, "understudy mode active, when whatever the passive mode was for is over.", false, "passive" },
	{ "held", DOCTOR_ERROR, "understudy election shows the hold and its reason; what set it must lift it.", false, NULL },
	{ "version-differs", DOCTOR_WARNING, "Bring both devices to the same version; until then a swap is refused.", true, NULL },
	{ "settings-differ", DOCTOR_WARNING, "Edit pair.conf on the Master and reload it there: the Backup takes it over.", true, NULL },
	{ "settings-bad", DOCTOR_WARNING, "Mend the file and line that understudy status names, then reload.", false, NULL },
	{ "clock-differs", DOCTOR_WARNING, "Let both devices set their clocks by the same NTP server.", true, NULL },
	{ "drill-failed", DOCTOR_WARNING, "understudy drill --last shows why; mend it and run another.", true, NULL },
	{ "drill-old", DOCTOR_WARNING, "Run understudy drill at a quiet time.", true, NULL },

	/* Applications. */
	{ "application-missing", DOCTOR_ERROR, "Install the application's file in /etc/understudy/applications.d on this device, too, and reload.", false, NULL },
	{ "program-missing", DOCTOR_ERROR, "Install the program, or mend command= or unit= in the application's file.", false, NULL },
	{ "application-differs", DOCTOR_WARNING, "Make the application's file the same on both devices.", true, NULL },
	{ "application-failed", DOCTOR_ERROR, "understudy status names it; its last lines are in the events.", false, NULL },
	{ "failed-before", DOCTOR_ERROR, "Mend the application, then understudy reset-health.", false, NULL },
	{ "health-used", DOCTOR_WARNING, "Find out why the application failed, then understudy reset-health.", false, NULL },
	{ "foreign-instance", DOCTOR_WARNING, "Stop it and keep it from starting by itself.", false, NULL },

	/* The copy. */
	{ "sync-absent", DOCTOR_WARNING, "It is started again by itself; see the journal for why it ended.", false, NULL },
	{ "sync-error", DOCTOR_WARNING, "It is tried again by itself; the text says what stands in the way.", false, NULL },
	{ "commit-held", DOCTOR_WARNING, "Mend on the Master what understudy status names, or bring both devices to the same firmware; then understudy settings reload on the Backup.", true, NULL },
	{ "copy-behind", DOCTOR_WARNING, "Look at understudy status on the Backup: its synchronisation and its disk.", false, NULL },
	{ "disk-low", DOCTOR_WARNING, "Make room on that file system.", false, NULL },

	/* The election, as vrrpd says it. */
	{ "election-absent", DOCTOR_ERROR, "It is started again by itself; see the journal for why it ended.", false, NULL },
	{ "no-interface", DOCTOR_ERROR, CHECK_LINK, false, NULL },
	{ "no-carrier", DOCTOR_ERROR, CHECK_LINK, false, NULL },
	{ "link-flapping", DOCTOR_ERROR, CHECK_LINK, false, NULL },
	{ "no-socket", DOCTOR_ERROR, "See the journal of understudy-vrrpd; adverts cannot be sent there.", false, NULL },
	{ "no-address", DOCTOR_ERROR, "The kernel refuses a service address; the text says why.", false, NULL },
	{ "address-clash", DOCTOR_ERROR, "Find the other host by the MAC address in the text and give it another address.", true, NULL },
	{ "group-id-used", DOCTOR_WARNING, "Give the pair a group-id that no other VRRP router on this network has.", true, NULL },
	{ "adverts-differ", DOCTOR_WARNING, "Make advert-interval-ms and the service addresses the same on both devices.", false, NULL },
	{ "no-peer-path", DOCTOR_WARNING, "Join the two devices by a second way, at best a cable, and name it as an [interface] on both.", true, NULL },
	{ "no-peer-link-local", DOCTOR_WARNING, "It is learnt as soon as the two devices are connected.", false, NULL },
	{ "no-link-local", DOCTOR_WARNING, "Let the kernel have IPv6 on that interface.", false, NULL },
	{ "no-own-address", DOCTOR_WARNING, "Give the interface the address that device.conf says, or correct device.conf.", false, NULL },
	{ "no-virtual-mac", DOCTOR_WARNING, "Without it phones learn another MAC at a takeover; the text says what the kernel refused.", false, NULL },
	{ "sysctl-refused", DOCTOR_WARNING, "Something keeps /proc/sys read-only for the daemons.", false, NULL },
	{ "no-route", DOCTOR_WARNING, "Correct routes= of the group in pair.conf; the text says what the kernel refused.", false, NULL },
	{ "address-removed", DOCTOR_WARNING, "Something else takes addresses away: a network manager that must leave this interface alone?", false, NULL },
	{ "witness-lost", DOCTOR_WARNING, "Look at the way from this device to the witness hosts; when they are gone for good, name others.", false, NULL },
	{ "state-not-kept", DOCTOR_WARNING, "Make room in /run.", false, NULL },
	{ "kernel-busy", DOCTOR_WARNING, "Find what makes and removes network namespaces or containers without end.", false, NULL },
	{ "no-realtime", DOCTOR_WARNING, "Allow real time: no cgroup or container limit on SCHED_RR for understudy.", false, NULL },
	{ "memory-not-locked", DOCTOR_WARNING, "Allow locked memory: LimitMEMLOCK=infinity for understudy.", false, NULL },
	{ NULL, DOCTOR_WARNING, "See the text; this version has no advice of its own.", false, NULL },
};

const DoctorCode *doctor_code(const char *code)
{
	const DoctorCode *each = doctor_codes;
	while (each->code && strcmp(each->code, code) != 0)
		each++;
	return each;
}

/* ---- Findings ---- */

typedef struct {
	const char *device;
	GVariant *last;
	gint64 now_ms;
	GPtrArray *findings; /* of GVariant* a{sv} */
} Examination;

static const char *string_of(GVariant *finding, const char *key)
{
	const char *text = "";
	(void)g_variant_lookup(finding, key, "&s", &text);
	return text;
}

static bool same_finding(GVariant *finding, const char *code, const char *text)
{
	return strcmp(string_of(finding, "code"), code) == 0 && strcmp(string_of(finding, "text"), text) == 0;
}

static gint64 since_of(const Examination *examination, const char *code, const char *text)
{
	gint64 since_ms = examination->now_ms;
	for (gsize i = 0; examination->last && i < g_variant_n_children(examination->last); i++) {
		g_autoptr(GVariant) finding = g_variant_get_child_value(examination->last, i);
		if (same_finding(finding, code, text))
			(void)g_variant_lookup(finding, "since_ms", "x", &since_ms);
	}
	return since_ms;
}

static void find(Examination *examination, const char *code, const char *text)
{
	const DoctorCode *known = doctor_code(code);
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "code", g_variant_new_string(code));
	g_variant_builder_add(&builder, "{sv}", "severity", g_variant_new_string(known->severity == DOCTOR_ERROR ? "error" : "warning"));
	g_variant_builder_add(&builder, "{sv}", "device", g_variant_new_string(examination->device));
	g_variant_builder_add(&builder, "{sv}", "text", g_variant_new_string(text));
	g_variant_builder_add(&builder, "{sv}", "action", g_variant_new_string(known->action));
	g_variant_builder_add(&builder, "{sv}", "since_ms", g_variant_new_int64(since_of(examination, code, text)));
	g_ptr_array_add(examination->findings, g_variant_ref_sink(g_variant_builder_end(&builder)));
}

static void findf(Examination *examination, const char *code, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void findf(Examination *examination, const char *code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_autofree char *text = g_strdup_vprintf(format, args);
	va_end(args);
	find(examination, code, text);
}

static void find_each(Examination *examination, const char *code, const char *const *texts)
{
	for (gsize i = 0; texts && texts[i]; i++)
		find(examination, code, texts[i]);
}

static void examine_election(Examination *examination, const DoctorFacts *facts)
{
	if (facts->role.election == ELECTION_UNKNOWN)
		find(examination, "election-absent", "vrrpd does not answer");
	for (gsize i = 0; facts->election && facts->election[i]; i++) {
		const char *colon = strstr(facts->election[i], ": ");
		g_autofree char *code = colon ? g_strndup(facts->election[i], (gsize)(colon - facts->election[i])) : g_strdup("election-problem");
		find(examination, code, colon ? colon + 2 : facts->election[i]);
	}
	for (gsize i = 0; facts->holds && facts->holds[i]; i++)
		if (strcmp(facts->holds[i], "passive") != 0 && strcmp(facts->holds[i], "first-sync") != 0)
			findf(examination, "held", "this device may not take over: %s", facts->holds[i]);
	if (facts->stranger && facts->stranger_counts)
		findf(examination, "adverts-differ", "the adverts of %s are not as ours", facts->stranger);
	else if (facts->stranger)
		findf(examination, "group-id-used", "%s speaks for our group, too; it is not counted", facts->stranger);
}

static void examine_pair(Examination *examination, const DoctorFacts *facts)
{
	const RoleFacts *role = &facts->role;
	if (!role->paired)
		find(examination, "not-paired", "there is no second device");
	else if (facts->revoked)
		find(examination, "peer-revoked", "the other device has ended the pairing");
	else if (!role->peer_fresh)
		find(examination, "peer-absent", "the peer is not connected");
	if (role->joining)
		find(examination, "first-sync", "the first synchronisation is not done");
	if (role->mode == MODE_PASSIVE && facts->own_role == ROLE_BACKUP)
		find(examination, "passive", "this device takes over by order only");
	if (!role->paired || !role->peer_fresh)
		return;
	if (facts->own_role == ROLE_MASTER && (role->peer_role == ROLE_FAULT || role->peer_role == ROLE_INIT))
		findf(examination, "peer-not-backup", "the other device is %s", role_name(role->peer_role));
	if (facts->own_role == ROLE_MASTER && role->peer_mode == MODE_PASSIVE)
		find(examination, "peer-passive", "the Backup takes over by order only");
	if (g_strcmp0(facts->version, facts->peer_version) != 0)
		find(examination, "version-differs", "the devices run different versions");
	if (g_strcmp0(facts->pair_hash, facts->peer_pair_hash) != 0)
		find(examination, "settings-differ", "pair.conf is not the same on both devices");
	if (facts->clock_known && ABS(facts->clock_ahead_ms) >= DOCTOR_CLOCK_MS)
		find(examination, "clock-differs", "the clocks of the two devices differ by more than 2 s");
	if (facts->drill_failed)
		find(examination, "drill-failed", "the last drill has not passed");
	if (facts->drill_max_days > 0 && facts->drill_age_days >= facts->drill_max_days)
		findf(examination, "drill-old", "no drill within %" G_GINT64_FORMAT " days", facts->drill_max_days);
}

static void examine_applications(Examination *examination, const DoctorFacts *facts)
{
	if (facts->application_failed)
		find(examination, "application-failed", "an application does not stay up");
	else
		for (gsize i = 0; facts->failed_before && facts->failed_before[i]; i++)
			findf(examination, "failed-before", "%s was beyond help here", facts->failed_before[i]);
	if (facts->resigned_for_health)
		find(examination, "health-used", "the service was handed over for an application's failure already; not again before a reset");
	find_each(examination, "foreign-instance", facts->foreign);
	find_each(examination, "program-missing", facts->missing_programs);
	if (!facts->applications || !facts->peer_applications)
		return;
	GVariantIter each;
	const char *name, *theirs, *ours;
	g_variant_iter_init(&each, facts->peer_applications);
	while (g_variant_iter_next(&each, "{&s&s}", &name, &theirs)) {
		if (!g_variant_lookup(facts->applications, name, "&s", &ours))
			findf(examination, "application-missing", "application %s of the other device is not set up here", name);
		else if (strcmp(ours, theirs) != 0)
			findf(examination, "application-differs", "application %s is not set up the same on both devices", name);
	}
}

static void examine_copy(Examination *examination, const DoctorFacts *facts)
{
	if (facts->sync_absent)
		find(examination, "sync-absent", "syncd does not answer");
	/* What is held back is no attempt that failed. */
	if (facts->commit_held)
		find(examination, "commit-held", "the Backup holds a commit of the configuration back; understudy status says why");
	else if (facts->sync_error && *facts->sync_error)
		find(examination, "sync-error", facts->sync_error);
	if (facts->behind_ms >= DOCTOR_BEHIND_MS && facts->role.peer_fresh)
		find(examination, "copy-behind", "the Backup has not applied what is new for more than a minute");
}

static gint worst_first(gconstpointer a, gconstpointer b)
{
	return strcmp(string_of(*(GVariant *const *)a, "severity"), string_of(*(GVariant *const *)b, "severity")); /* error, warning */
}

static GVariant *list_of(GPtrArray *findings)
{
	GVariantBuilder builder;
	g_ptr_array_sort(findings, worst_first); /* stable */
	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = 0; i < findings->len; i++)
		g_variant_builder_add_value(&builder, findings->pdata[i]);
	return g_variant_builder_end(&builder);
}

GVariant *doctor_examine(const DoctorFacts *facts, const char *device, GVariant *last, gint64 now_ms)
{
	g_autoptr(GPtrArray) findings = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
	Examination examination = { device, last, now_ms, findings };
	if (*facts->settings_error)
		find(&examination, "settings-bad", "the settings on disk are wrong, older ones are in use");
	if (facts->role.redundant) {
		examine_pair(&examination, facts);
		examine_election(&examination, facts);
	}
	examine_applications(&examination, facts);
	examine_copy(&examination, facts);
	if (facts->disk)
		findf(&examination, "disk-low", "the file system of %s is nearly full", facts->disk);
	return list_of(findings);
}

/* ---- Both devices ---- */

static bool says(GVariant *list, const char *code, const char *text)
{
	for (gsize i = 0; i < g_variant_n_children(list); i++) {
		g_autoptr(GVariant) finding = g_variant_get_child_value(list, i);
		if (text ? same_finding(finding, code, text) : strcmp(string_of(finding, "code"), code) == 0)
			return true;
	}
	return false;
}

static void add_unless_said(GPtrArray *findings, GVariant *list, GVariant *other, bool other_is_first)
{
	for (gsize i = 0; i < g_variant_n_children(list); i++) {
		g_autoptr(GVariant) finding = g_variant_get_child_value(list, i);
		const DoctorCode *known = doctor_code(string_of(finding, "code"));
		bool better = known->instead && says(other, known->instead, NULL);
		bool said = other_is_first && known->of_the_pair && says(other, known->code, NULL);
		if (!better && !said)
			g_ptr_array_add(findings, g_steal_pointer(&finding));
	}
}

GVariant *doctor_merge(GVariant *ours, GVariant *theirs)
{
	g_autoptr(GPtrArray) findings = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
	g_autoptr(GVariant) none = g_variant_ref_sink(g_variant_new_array(G_VARIANT_TYPE_VARDICT, NULL, 0));
	add_unless_said(findings, ours, theirs ? theirs : none, false);
	if (theirs)
		add_unless_said(findings, theirs, ours, true);
	return list_of(findings);
}

GVariant *doctor_problems(GVariant *findings)
{
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE("as"));
	for (gsize i = 0; i < g_variant_n_children(findings); i++) {
		g_autoptr(GVariant) finding = g_variant_get_child_value(findings, i);
		g_autofree char *text = g_strdup_printf("%s: %s", string_of(finding, "code"), string_of(finding, "text"));
		g_variant_builder_add(&builder, "s", text);
	}
	return g_variant_builder_end(&builder);
}
