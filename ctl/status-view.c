/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/status-view.c - both devices side by side, and what is wrong. */
#include "status-view.h"

#include <string.h>

#include "dbus/dict.h"
#include "election-view.h"

/* What the right-hand column may say. */
typedef enum { PEER_NONE, PEER_KNOWN, PEER_REVOKED, PEER_STALE, PEER_NEVER } PeerState;

static PeerState peer_state(const StatusView *view, GVariant *peer)
{
	bool paired = dict_bool(view->peer_link, "Paired") || *dict_string(peer, "id", "");

	if (dict_bool(peer, "connected"))
		return PEER_KNOWN;
	if (!paired)
		return PEER_NONE;
	g_autoptr(GVariant) record = dict_value(view->peer_link, "PairRecord", "a{sv}");
	if (dict_bool(record, "revoked"))
		return PEER_REVOKED;
	return dict_int(peer, "age_ms", -1) < 0 ? PEER_NEVER : PEER_STALE;
}

/* Yesterday's word of the other device is not its state. */
static char *stale_text(PeerState state, GVariant *peer)
{
	g_autofree char *age = NULL;

	switch (state) {
	case PEER_NONE:
		return g_strdup("not paired");
	case PEER_KNOWN:
		return g_strdup("");
	case PEER_REVOKED:
		return g_strdup("has ended the pairing");
	case PEER_STALE:
		age = render_age(dict_int(peer, "age_ms", 0));
		return g_strdup_printf("unknown (last heard %s ago)", age);
	case PEER_NEVER:
		return g_strdup("unknown (never heard)");
	}
	return NULL;
}

static void add_row(RenderTable *table, const char *label, RenderColour colour, const char *ours,
		    RenderColour peer_colour, const char *theirs)
{
	render_table_add(table, RENDER_DIM, label);
	render_table_add(table, colour, ours);
	render_table_add(table, peer_colour, theirs);
}

static char *name_and_id(const char *name, const char *id)
{
	if (!*name || g_str_equal(name, id))
		return g_strdup(*id ? id : "-");
	return g_strdup_printf("%s (%s)", name, id);
}

static char *term_text(guint64 number, const char *id)
{
	if (number == 0 && !*id)
		return g_strdup("-");
	return g_strdup_printf("%" G_GUINT64_FORMAT " (%s)", number, id);
}

/* "stored 1a2b3c4d, applied" when both are the same commit, else both hashes. */
static char *sync_text(const char *stored, const char *applied)
{
	g_autofree char *short_stored = render_hash(stored), *short_applied = render_hash(applied);

	if (!*stored && !*applied)
		return g_strdup("-");
	if (g_str_equal(stored, applied))
		return g_strdup_printf("%s stored and applied", short_stored);
	return g_strdup_printf("%s stored, %s applied", short_stored, short_applied);
}

static void add_sync_rows(const StatusView *view, RenderTable *table, bool peer_known)
{
	g_autoptr(GVariant) stored = dict_value(view->sync, "Stored", "a{ss}"),
			    applied = dict_value(view->sync, "Applied", "a{ss}");
	g_autoptr(GVariant) peer_stored = dict_value(view->sync, "PeerStored", "a{ss}");
	g_autoptr(GVariant) peer_applied = dict_value(view->sync, "PeerApplied", "a{ss}");

	for (const char *const *ref = (const char *const[]){ "config", "volatile", "voice", NULL }; *ref; ref++) {
		const char *here = dict_string(stored, *ref, ""), *here_applied = dict_string(applied, *ref, "");
		const char *there = dict_string(peer_stored, *ref, ""),
			   *there_applied = dict_string(peer_applied, *ref, "");

		/* Many pairs have no recordings. */
		if (g_str_equal(*ref, "voice") && !*here && !*there)
			continue;
		g_autofree char *label = g_strdup_printf("sync %s", *ref);
		g_autofree char *ours = sync_text(here, here_applied), *theirs = sync_text(there, there_applied);
		bool behind =
			peer_known && !g_str_equal(here, there_applied) && !g_str_equal(here_applied, there_applied);

		add_row(table, label, RENDER_PLAIN, ours, behind ? RENDER_WARNING : RENDER_PLAIN,
			peer_known ? theirs : "");
	}
}

static void add_devices(const StatusView *view, GString *out, const RenderStyle *style)
{
	g_autoptr(RenderTable) table = render_table_new(3);
	g_autoptr(GVariant) peer = dict_value(view->supervisor, "Peer", "a{sv}");
	g_autoptr(GVariant) term = dict_value(view->supervisor, "Term", "(ts)");
	PeerState state = peer_state(view, peer);
	bool known = state == PEER_KNOWN;
	g_autofree char *stale = stale_text(state, peer);
	const char *role = dict_string(view->supervisor, "Role", "unknown"),
		   *peer_role = dict_string(peer, "role", "unknown");
	const char *peer_id = dict_string(peer, "id", "");
	g_autofree char *ours = name_and_id(dict_string(view->supervisor, "DeviceName", ""),
					    dict_string(view->supervisor, "DeviceId", ""));
	g_autofree char *theirs =
		state == PEER_NONE ? g_strdup("-") : name_and_id(dict_string(peer, "name", ""), peer_id);
	g_autofree char *age = render_age(view->now_ms - dict_int(view->supervisor, "RoleSinceMs", view->now_ms));
	const char *reason = dict_string(view->supervisor, "RoleReason", "");
	g_autofree char *since = *reason ? g_strdup_printf("%s (%s)", age, reason) : g_strdup(age);
	const char *term_id = "";
	guint64 term_number = 0;
	g_autofree char *our_term = NULL, *their_term = NULL;

	if (term)
		g_variant_get(term, "(t&s)", &term_number, &term_id);
	our_term = term_text(term_number, term_id);
	their_term =
		known ? term_text((guint64)dict_int(peer, "term", 0), dict_string(peer, "term_id", "")) : g_strdup("");
	add_row(table, "", RENDER_BOLD, "this device", RENDER_BOLD, "peer");
	add_row(table, "device", RENDER_PLAIN, ours, RENDER_PLAIN, theirs);
	add_row(table, "role", render_role_colour(role), role, known ? render_role_colour(peer_role) : RENDER_WARNING,
		known ? peer_role : stale);
	add_row(table, "mode", RENDER_PLAIN, dict_string(view->supervisor, "Mode", "-"), RENDER_PLAIN,
		known ? dict_string(peer, "mode", "-") : "");
	add_row(table, "term", RENDER_PLAIN, our_term, RENDER_PLAIN, their_term);
	add_row(table, "version", RENDER_PLAIN, dict_string(view->supervisor, "Version", "-"), RENDER_PLAIN,
		known ? dict_string(peer, "version", "-") : "");
	if (view->sync)
		add_sync_rows(view, table, known);
	add_row(table, "since", RENDER_PLAIN, since, RENDER_PLAIN, "");
	g_autofree char *text = render_table_text(table, style, 0);
	g_string_append(out, text);
}

static void add_heading(GString *out, const RenderStyle *style, const char *heading)
{
	g_autofree char *text = render_coloured(style, RENDER_BOLD, heading);

	g_string_append_printf(out, "\n%s\n", text);
}

static void add_service(const StatusView *view, GString *out, const RenderStyle *style)
{
	g_autoptr(GVariant) addresses = dict_value(view->supervisor, "ServiceAddresses", "as");
	gint64 group = dict_int(view->supervisor, "GroupId", 0);
	const char *holder = dict_string(view->election, "State", "");
	GVariantIter iter;
	const char *address;

	if (!addresses || g_variant_n_children(addresses) == 0)
		return;
	add_heading(out, style, "Service addresses");
	g_variant_iter_init(&iter, addresses);
	while (g_variant_iter_next(&iter, "&s", &address)) {
		g_autofree char *clean = render_clean(address);

		g_string_append_printf(out, "  %s\n", clean);
	}
	g_string_append_printf(out, "  group %" G_GINT64_FORMAT "%s%s%s%s\n", group,
			       dict_bool(view->supervisor, "Enabled") ? "" : ", redundancy is switched off",
			       *holder ? ", election here: " : "", holder,
			       view->election && !dict_bool(view->election, "Carrier") ? ", no carrier" : "");
}

static void add_applications(const StatusView *view, GString *out, const RenderStyle *style)
{
	g_autoptr(RenderTable) table = render_table_new(4);
	g_autofree char *text = NULL;

	if (!view->applications || view->applications->len == 0)
		return;
	add_heading(out, style, "Applications");
	for (guint i = 0; i < view->applications->len; i++) {
		GVariant *application = view->applications->pdata[i];
		const char *state = dict_string(application, "State", "unknown");
		gint64 pid = dict_int(application, "Pid", 0), restarts = dict_int(application, "Restarts", 0);
		gint64 since_ms = dict_int(application, "SinceMs", 0);
		g_autofree char *age = render_age(view->now_ms - since_ms);
		g_autoptr(GString) detail = g_string_new(dict_string(application, "StatusText", ""));
		const char *last_exit = dict_string(application, "LastExit", "");

		if (restarts > 0)
			g_string_append_printf(detail, "%srestarted %" G_GINT64_FORMAT " times",
					       detail->len ? ", " : "", restarts);
		if (*last_exit && !g_str_equal(state, "running"))
			g_string_append_printf(detail, "%slast ended by %s", detail->len ? ", " : "", last_exit);
		render_table_add(table, RENDER_PLAIN, dict_string(application, "Name", "?"));
		if (since_ms > 0)
			render_table_addf(table, render_application_colour(state), "%s for %s", state, age);
		else
			render_table_add(table, render_application_colour(state), state);
		if (pid > 0)
			render_table_addf(table, RENDER_DIM, "pid %" G_GINT64_FORMAT, pid);
		else
			render_table_add(table, RENDER_DIM, "");
		render_table_add(table, RENDER_PLAIN, detail->str);
	}
	text = render_table_text(table, style, 2);
	g_string_append(out, text);
}

/* "at least 3 changes for 12 s"; NULL: it lacks nothing. */
static char *behind_text(GVariant *at, const char *changes_key, const char *since_key, gint64 now_ms)
{
	gint64 changes = dict_int(at, changes_key, 0), since_ms = dict_int(at, since_key, now_ms);
	g_autofree char *age = render_age(now_ms - since_ms);

	if (changes == 0)
		return NULL;
	return g_strdup_printf("%s%" G_GINT64_FORMAT " change%s for %s", dict_bool(at, "exact") ? "" : "at least ", changes,
			       changes == 1 ? "" : "s", age);
}

/* What a takeover now would lose, as both devices know it. */
static void add_recovery(const StatusView *view, GString *out, const RenderStyle *style)
{
	g_autoptr(GVariant) refs = dict_value(view->sync, "RecoveryPoint", "a{sa{sv}}");
	gint64 heard_ms = dict_int(view->sync, "PeerHeardMs", 0);
	g_autofree char *heard = render_age(view->now_ms - heard_ms);
	bool lacks = false;

	if (!refs || heard_ms == 0)
		return;
	for (const char *const *ref = (const char *const[]){ "config", "volatile", "voice", NULL }; *ref; ref++) {
		g_autoptr(GVariant) at = g_variant_lookup_value(refs, *ref, G_VARIANT_TYPE_VARDICT);
		g_autofree char *applied = at ? behind_text(at, "applied_changes", "applied_since_ms", view->now_ms) : NULL;
		g_autofree char *stored = at ? behind_text(at, "stored_changes", "stored_since_ms", view->now_ms) : NULL;
		g_autofree char *coloured = applied ? render_coloured(style, RENDER_WARNING, applied) : NULL;

		if (!applied)
			continue;
		g_string_append_printf(out, "  the Backup has not applied %s of %s (not stored: %s)\n", coloured, *ref, stored ? stored : "none");
		lacks = true;
	}
	if (!lacks)
		g_string_append(out, "  the Backup has applied everything it was told of");
	else
		g_string_append(out, "  a takeover now would lose that");
	g_string_append_printf(out, ", peer heard %s ago\n", heard);
}

/* Commits that an application's own check did not let pass. */
static void add_held(GVariant *held, const char *where, GString *out, const RenderStyle *style)
{
	GVariantIter iter;
	const char *ref, *commit, *why;

	if (!held)
		return;
	g_variant_iter_init(&iter, held);
	while (g_variant_iter_next(&iter, "{&s(&s&s)}", &ref, &commit, &why)) {
		g_autofree char *line = g_strdup_printf("commit %.10s of %s is held back %s: %s", commit, ref, where, why);
		g_autofree char *clean = render_clean(g_strdelimit(line, "\n", ' '));
		g_autofree char *coloured = render_coloured(style, RENDER_WARNING, clean);

		g_string_append_printf(out, "  %s\n", coloured);
	}
}

static void add_synchronisation(const StatusView *view, GString *out, const RenderStyle *style)
{
	const char *activity = dict_string(view->sync, "Activity", "unknown"),
		   *failed = dict_string(view->sync, "LastError", "");
	gint64 last_ms = dict_int(view->sync, "LastSyncMs", 0);
	g_autofree char *age = render_age(view->now_ms - last_ms);
	g_autoptr(GVariant) diverged = dict_value(view->sync, "Diverged", "as");

	add_heading(out, style, "Synchronisation");
	if (!view->sync) {
		g_string_append(out, "  unknown: the synchronisation daemon did not answer\n");
		return;
	}
	g_string_append_printf(out, "  %s, %s%s%s%s\n", dict_string(view->sync, "Role", "unknown"), activity,
			       last_ms > 0 ? ", last synchronised " : "", last_ms > 0 ? age : "",
			       last_ms > 0 ? " ago" : "");
	if (g_str_equal(dict_string(view->sync, "Role", ""), "follow") && !dict_bool(view->sync, "FirstSyncDone"))
		g_string_append(out, "  the first synchronisation is not done yet\n");
	if (*failed) {
		g_autofree char *clean = render_clean(failed);
		g_autofree char *coloured = render_coloured(style, RENDER_BAD, clean);

		g_string_append_printf(out, "  last attempt failed: %s\n", coloured);
	}
	add_recovery(view, out, style);
	g_autoptr(GVariant) held = dict_value(view->sync, "Held", "a{s(ss)}"), peer_held = dict_value(view->sync, "PeerHeld", "a{s(ss)}");
	add_held(held, "here", out, style);
	add_held(peer_held, "by the Backup", out, style);
	for (gsize i = 0; diverged && i < g_variant_n_children(diverged); i++) {
		g_autoptr(GVariant) name = g_variant_get_child_value(diverged, i);
		g_autofree char *clean = render_clean(g_variant_get_string(name, NULL));

		g_string_append_printf(out, "  kept aside: %s\n", clean);
	}
}

static ElectionView election_view(const StatusView *view)
{
	return (ElectionView){ view->election, view->vrrp, view->now_boot_us };
}

static void add_part(GString *out, const RenderStyle *style, const char *heading, char *owned_text)
{
	g_autofree char *text = owned_text;

	if (!*text)
		return;
	add_heading(out, style, heading);
	g_string_append(out, text);
}

static void add_election(const StatusView *view, GString *out, const RenderStyle *style)
{
	ElectionView election = election_view(view);

	if (dict_bool(view->supervisor, "Enabled"))
		add_part(out, style, "Election", election_view_text(&election, style));
}

static void add_holds(const StatusView *view, GString *out, const RenderStyle *style)
{
	ElectionView election = election_view(view);

	add_part(out, style, "Holds (this device does not take over by itself)", election_view_holds(&election, style));
}

static guint add_problem(GString *out, const RenderStyle *style, const char *problem)
{
	g_autofree char *clean = render_clean(problem);
	g_autofree char *coloured = render_coloured(style, RENDER_BAD, clean);

	g_string_append_printf(out, "  %s\n", coloured);
	return 1;
}

/* The supervisor passes on what vrrpd says; @known are those that need not be said again. */
static guint add_problem_list(GString *out, const RenderStyle *style, GVariant *dict, GVariant *known_dict)
{
	g_autoptr(GVariant) problems = dict_value(dict, "Problems", "as"),
			    known_problems = dict_value(known_dict, "Problems", "as");
	g_autofree const char **known = known_problems ? g_variant_get_strv(known_problems, NULL) : NULL;
	const char *problem;
	GVariantIter iter;
	guint n = 0;

	if (!problems)
		return 0;
	g_variant_iter_init(&iter, problems);
	while (g_variant_iter_next(&iter, "&s", &problem)) {
		if (known && g_strv_contains(known, problem))
			continue;
		if (*dict_string(dict, "SettingsError", "") && g_str_has_prefix(problem, "settings-bad:"))
			continue; /* its reason is shown */
		n += add_problem(out, style, problem);
	}
	return n;
}

static void add_problems(const StatusView *view, GString *out, const RenderStyle *style)
{
	const char *settings = dict_string(view->supervisor, "SettingsError", "");
	guint n = 0;

	add_heading(out, style, "Problems");
	if (*settings) {
		g_autofree char *text = g_strdup_printf("settings: %s (the last good ones are in use)", settings);

		n += add_problem(out, style, text);
	}
	n += add_problem_list(out, style, view->supervisor, NULL);
	n += add_problem_list(out, style, view->election, view->supervisor);
	if (!view->election)
		n += add_problem(out, style, "vrrpd: the election daemon did not answer");
	if (!view->sync)
		n += add_problem(out, style, "syncd: the synchronisation daemon did not answer");
	if (n == 0)
		g_string_append(out, "  none\n");
}

/* Nothing where nobody needs to look. */
static void add_unread(const StatusView *view, GString *out, const RenderStyle *style)
{
	g_autoptr(GVariant) warning = dict_value(view->notify, "UnreadWarning", "(uy)");
	guint n = 0;
	guint8 priority = 0;

	if (warning)
		g_variant_get(warning, "(uy)", &n, &priority);
	if (n == 0)
		return;
	add_heading(out, style, "Unread");
	g_string_append_printf(out, "  %u event%s up to priority %u: understudy events --unread\n", n, n == 1 ? "" : "s", priority);
}

char *status_view_text(const StatusView *view, const RenderStyle *style)
{
	GString *out = g_string_new(NULL);

	add_devices(view, out, style);
	add_service(view, out, style);
	add_election(view, out, style);
	add_applications(view, out, style);
	add_synchronisation(view, out, style);
	add_holds(view, out, style);
	add_problems(view, out, style);
	add_unread(view, out, style);
	return g_string_free(out, FALSE);
}

/* ---- For programs ---- */

/* The dictionary with its keys in snake_case, without @skip (NULL-terminated names). */
static GVariant *in_snake_case(GVariant *dict, const char *const *skip)
{
	GVariantBuilder builder;
	GVariantIter iter;
	const char *key;
	GVariant *each;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	if (dict) {
		g_variant_iter_init(&iter, dict);
		while (g_variant_iter_next(&iter, "{&sv}", &key, &each)) {
			g_autoptr(GVariant) value = each;
			g_autofree char *snake = render_snake_case(key);

			if (!g_strv_contains(skip, key))
				g_variant_builder_add(&builder, "{sv}", snake, value);
		}
	}
	return g_variant_builder_end(&builder);
}

static const char *const NONE[] = { NULL };

static GVariant *applications_value(const StatusView *view)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = 0; view->applications && i < view->applications->len; i++)
		g_variant_builder_add_value(&builder, in_snake_case(view->applications->pdata[i], NONE));
	return g_variant_builder_end(&builder);
}

static GVariant *device_value(const StatusView *view)
{
	g_autoptr(GVariant) term = dict_value(view->supervisor, "Term", "(ts)");
	g_autoptr(GVariant) rest =
		g_variant_ref_sink(in_snake_case(view->supervisor, (const char *const[]){ "Peer", "Term", NULL }));
	GVariantDict dict;
	guint64 number = 0;
	const char *id = "";

	if (term)
		g_variant_get(term, "(t&s)", &number, &id);
	g_variant_dict_init(&dict, rest);
	g_variant_dict_insert(&dict, "term", "t", number);
	g_variant_dict_insert(&dict, "term_id", "s", id);
	return g_variant_dict_end(&dict);
}

static GVariant *peer_value(const StatusView *view)
{
	g_autoptr(GVariant) peer = dict_value(view->supervisor, "Peer", "a{sv}");
	GVariantDict dict;

	g_variant_dict_init(&dict, peer);
	g_variant_dict_insert(&dict, "paired", "b", (gboolean)(peer_state(view, peer) != PEER_NONE));
	return g_variant_dict_end(&dict);
}

GVariant *status_view_value(const StatusView *view)
{
	ElectionView election = election_view(view);
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "device", device_value(view));
	g_variant_builder_add(&builder, "{sv}", "peer", peer_value(view));
	g_variant_builder_add(&builder, "{sv}", "applications", applications_value(view));
	g_variant_builder_add(&builder, "{sv}", "holds", election_view_holds_value(&election));
	g_variant_builder_add(&builder, "{sv}", "sync", in_snake_case(view->sync, NONE));
	g_variant_builder_add(&builder, "{sv}", "election", election_view_value(&election));
	g_variant_builder_add(&builder, "{sv}", "events", in_snake_case(view->notify, (const char *const[]){ "Heads", NULL }));
	return g_variant_builder_end(&builder);
}
