/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/notifyd/test-rules.c - tables of events and times, and what is told of them. */
#include <locale.h>
#include <string.h>

#include "notifyd/catalogue.h"
#include "notifyd/rules.h"

#define DEVICE "[device]\nid=a\n[interface lan]\ndevice=eth0\naddress=192.0.2.11/24\n"
#define PAIR "[pair]\ngroup-id=1\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24\n"
#define TARGETS                                                                                                                \
	"[mail boss]\nto=boss@example.com, other@example.com\nfrom=pbx@example.com\nserver=m\n"                                \
	"[mail few]\nto=few@example.com\nfrom=pbx@example.com\nserver=m\nper-hour=5\n"                                         \
	"[sms oncall]\nto=+491700000001\nurl=https://x/{to}{text}\n[snmp nms]\nhost=nms.example.com\n[led front]\nled=red\n"

/* One line of a story: when, what happens (NULL: time alone passes), and what is told then. */
typedef struct {
	guint at_s;
	const char *application, *name, *description, *about;
	guint8 priority;
	bool recovery;
	const char *told; /* "event mail:boss boss@example.com", several by "; "; "": nothing */
} Step;

typedef struct {
	const char *name, *rules;
	Step steps[24];
} Story;

#define EVENT(at, p, app, n, desc, told) { at, app, n, desc, NULL, p, false, told }
#define ABOUT(at, p, thing, told) { at, "X", "bad", "d", thing, p, false, told }
#define WELL(at, thing, told) { at, "X", "well", "d", thing, 1, true, told }
#define TIME(at, told) { at, NULL, NULL, NULL, NULL, 0, false, told }
#define BOSS "[rule r]\nactions=mail:boss\nto=b@x\n"
#define EACH "fold-s=0\nflap=none\n"

static const Story stories[] = {
	{ "no-rules", "", { EVENT(0, 3, "X", "y", "", "") } },
	{ "one-target",
	  "[rule r]\nactions=mail:boss\n" EACH,
	  { EVENT(0, 1, "X", "y", "", "event mail:boss boss@example.com,other@example.com"), EVENT(0, 1, "X", "y", "", "event mail:boss boss@example.com,other@example.com") } },
	{ "each-kind",
	  "[rule r]\nactions=led:front display snmp:nms sms:oncall mail:boss\n",
	  { EVENT(0, 1, "X", "y", "",
		  "event mail:boss boss@example.com,other@example.com; event sms:oncall +491700000001; event snmp:nms nms.example.com:162") } },
	{ "priority", BOSS "min-priority=2\n", { EVENT(0, 1, "X", "y", "", ""), EVENT(0, 2, "X", "y", "", "event mail:boss b@x") } },
	{ "globs",
	  BOSS "application=SIP, PBX-*\nname=*failed?\n",
	  { EVENT(0, 1, "SIP", "failed", "", ""), EVENT(0, 1, "SIP", "it failed!", "", "event mail:boss b@x"), EVENT(0, 1, "sip", "failed!", "", ""),
	    EVENT(0, 1, "PBX-1", "failed!", "", "event mail:boss b@x"), EVENT(0, 1, "PBX", "failed!", "", "") } },
	{ "first-rule-that-names-it",
	  "[rule a]\nactions=mail:boss\nto=a@x\nmin-priority=3\n" EACH "[rule b]\nactions=mail:boss sms:oncall\nto=b@x 12345\n" EACH,
	  { EVENT(0, 3, "X", "y", "", "event mail:boss a@x; event sms:oncall 12345"), EVENT(0, 1, "X", "y", "", "event mail:boss b@x; event sms:oncall 12345") } },

	{ "recovery",
	  BOSS "min-priority=3\nrecovery=true\n",
	  { ABOUT(0, 3, "t", "event mail:boss b@x"), WELL(1, "other", ""), WELL(2, "t", "recovery mail:boss b@x"), WELL(3, "t", ""),
	    ABOUT(4, 3, "t", "event mail:boss b@x"), WELL(5, "t", "recovery mail:boss b@x") } },
	{ "recovery-not-wanted", BOSS, { ABOUT(0, 3, "t", "event mail:boss b@x"), WELL(2, "t", "") } },
	{ "recovery-of-what-was-not-told", BOSS "recovery=true\nmin-priority=2\n", { ABOUT(0, 1, "t", ""), WELL(1, "t", "") } },
	{ "recovery-after-rules-order",
	  "[rule bad]\nname=bad\nactions=mail:boss\nto=b@x\nrecovery=true\n[rule all]\nactions=mail:boss\nto=c@x\n",
	  { ABOUT(0, 1, "t", "event mail:boss b@x"), WELL(1, "t", "recovery mail:boss b@x") } },
	{ "own-events-recover-by-the-catalogue",
	  BOSS "name=down\nmin-priority=3\nrecovery=true\n",
	  { EVENT(0, 3, "REDUNDANCY", "down", "d", "event mail:boss b@x"), EVENT(1, 1, "REDUNDANCY", "up active", "u", "recovery mail:boss b@x"),
	    EVENT(2, 1, "REDUNDANCY", "up active", "u", "") } },
	{ "unknown-trouble-recovers",
	  BOSS "name=down\nmin-priority=3\nrecovery=true\n",
	  { EVENT(0, 1, "REDUNDANCY", "up active", "u", "recovery mail:boss b@x"), EVENT(1, 1, "OTHER", "up active", "u", "") } },

	{ "fold",
	  BOSS "fold-s=60\n",
	  { EVENT(0, 1, "X", "y", "a", "event mail:boss b@x"), EVENT(1, 1, "X", "y", "a", ""), EVENT(1, 1, "X", "y", "b", "event mail:boss b@x"),
	    EVENT(59, 1, "X", "y", "a", ""), TIME(60, "folded 2 in 60 mail:boss b@x"), EVENT(61, 1, "X", "y", "a", ""), TIME(119, ""),
	    TIME(120, "folded 1 in 60 mail:boss b@x"), TIME(180, ""), EVENT(181, 1, "X", "y", "a", "event mail:boss b@x"), TIME(500, "") } },
	{ "fold-by-thing", BOSS "fold-s=60\n", { ABOUT(0, 1, "t", "event mail:boss b@x"), ABOUT(1, 1, "t", ""), ABOUT(2, 1, "u", "event mail:boss b@x") } },
	{ "a-recovery-ends-a-fold",
	  BOSS "fold-s=60\nrecovery=true\n",
	  { ABOUT(0, 1, "t", "event mail:boss b@x"), ABOUT(1, 1, "t", ""), WELL(2, "t", "recovery 1 mail:boss b@x"), ABOUT(3, 1, "t", "event mail:boss b@x"),
	    TIME(61, "") } },
	{ "late-tick-is-one-digest",
	  BOSS "fold-s=60\n",
	  { ABOUT(0, 1, "t", "event mail:boss b@x"), ABOUT(1, 1, "t", ""), ABOUT(300, 1, "t", "folded 1 in 300 mail:boss b@x"),
	    TIME(360, "folded 1 in 60 mail:boss b@x") } },

	{ "flap",
	  BOSS "flap=3/60\nrecovery=true\n",
	  { ABOUT(0, 3, "t", "event mail:boss b@x"), WELL(5, "t", "recovery mail:boss b@x"), ABOUT(10, 3, "t", "flapping 3 in 10 mail:boss b@x"),
	    WELL(20, "t", ""), ABOUT(30, 3, "t", ""), WELL(40, "t", ""), TIME(99, ""), TIME(100, "steady 3 in 30 mail:boss b@x"),
	    ABOUT(101, 3, "t", "event mail:boss b@x") } },
	{ "flap-slow-changes-are-told",
	  BOSS "flap=3/60\nfold-s=0\n",
	  { ABOUT(0, 3, "t", "event mail:boss b@x"), ABOUT(31, 3, "t", "event mail:boss b@x"), ABOUT(62, 3, "t", "event mail:boss b@x"),
	    ABOUT(63, 3, "t", "flapping 3 in 32 mail:boss b@x"), TIME(123, "steady 0 in 0 mail:boss b@x") } },
	{ "flap-without-recoveries-told-ends-well",
	  BOSS "flap=3/60\nfold-s=0\n",
	  { ABOUT(0, 3, "t", "event mail:boss b@x"), WELL(1, "t", ""), ABOUT(2, 3, "t", "event mail:boss b@x"), WELL(3, "t", ""),
	    ABOUT(4, 3, "t", "flapping 3 in 4 mail:boss b@x"), WELL(5, "t", ""), TIME(65, "steady 1 in 1 mail:boss b@x") } },
	{ "flapping-things-are-apart",
	  BOSS "flap=3/60\nfold-s=0\n",
	  { ABOUT(0, 3, "t", "event mail:boss b@x"), ABOUT(0, 3, "t", "event mail:boss b@x"), ABOUT(0, 3, "t", "flapping 3 in 0 mail:boss b@x"),
	    ABOUT(1, 3, "u", "event mail:boss b@x") } },
	{ "flapping-ends-a-fold",
	  BOSS "flap=3/60\nfold-s=10\n",
	  { ABOUT(0, 3, "t", "event mail:boss b@x"), ABOUT(1, 3, "t", ""), ABOUT(2, 3, "t", "flapping 3 in 2 mail:boss b@x"), TIME(11, ""),
	    TIME(62, "steady 0 in 0 mail:boss b@x") } },

	{ "as-it-is-without-keys",
	  BOSS "recovery=true\n",
	  { ABOUT(0, 3, "t", "event mail:boss b@x"), ABOUT(1, 3, "t", ""), WELL(2, "t", "recovery 1 mail:boss b@x"), ABOUT(3, 3, "t", "event mail:boss b@x"),
	    WELL(4, "t", "recovery mail:boss b@x"), ABOUT(5, 3, "t", "flapping 6 in 5 mail:boss b@x"), WELL(6, "t", ""), ABOUT(7, 3, "t", ""), WELL(8, "t", ""),
	    TIME(607, ""), TIME(608, "steady 3 in 3 mail:boss b@x"), ABOUT(609, 3, "t", "event mail:boss b@x"), ABOUT(610, 3, "t", ""),
	    TIME(669, "folded 1 in 60 mail:boss b@x") } },
	{ "traps-are-not-counted-without-keys",
	  "[rule r]\nactions=snmp:nms\n",
	  { ABOUT(0, 3, "t", "event snmp:nms nms.example.com:162"), ABOUT(0, 3, "t", "event snmp:nms nms.example.com:162"),
	    ABOUT(0, 3, "t", "event snmp:nms nms.example.com:162"), ABOUT(1, 3, "t", "event snmp:nms nms.example.com:162"),
	    ABOUT(1, 3, "t", "event snmp:nms nms.example.com:162"), ABOUT(1, 3, "t", "event snmp:nms nms.example.com:162"), TIME(700, "") } },
	{ "traps-are-folded-by-order",
	  "[rule r]\nactions=snmp:nms\nfold-s=60\n",
	  { ABOUT(0, 3, "t", "event snmp:nms nms.example.com:162"), ABOUT(1, 3, "t", ""), TIME(60, "folded 1 in 60 snmp:nms nms.example.com:162") } },
	{ "traps-flap-by-order",
	  "[rule r]\nactions=snmp:nms\nflap=3/60\n",
	  { ABOUT(0, 3, "t", "event snmp:nms nms.example.com:162"), ABOUT(1, 3, "t", "event snmp:nms nms.example.com:162"),
	    ABOUT(2, 3, "t", "flapping 3 in 2 snmp:nms nms.example.com:162"), ABOUT(3, 3, "t", "") } },

	{ "limit",
	  "[rule r]\nactions=mail:few\n",
	  { EVENT(0, 1, "X", "1", "", "event mail:few few@example.com"), EVENT(1, 1, "X", "2", "", "event mail:few few@example.com"),
	    EVENT(2, 1, "X", "3", "", "event mail:few few@example.com"), EVENT(100, 1, "X", "4", "", "event silent 3500 mail:few few@example.com"),
	    EVENT(101, 1, "X", "5", "", ""), EVENT(102, 2, "X", "6", "", ""), EVENT(103, 3, "X", "7", "", "event silent 3497 mail:few few@example.com"),
	    EVENT(104, 3, "X", "8", "", ""), TIME(3599, ""), TIME(3600, "suppressed 3 in 3600 mail:few few@example.com"),
	    EVENT(3601, 1, "X", "9", "", "event mail:few few@example.com"), TIME(7200, ""), EVENT(7201, 1, "X", "1", "", "event mail:few few@example.com") } },
	{ "limit-starts-anew-when-quiet",
	  "[rule r]\nactions=mail:few\n",
	  { EVENT(0, 3, "X", "1", "", "event mail:few few@example.com"), EVENT(1, 3, "X", "2", "", "event mail:few few@example.com"),
	    EVENT(2, 3, "X", "3", "", "event mail:few few@example.com"), EVENT(3, 3, "X", "4", "", "event mail:few few@example.com"),
	    EVENT(3600, 3, "X", "5", "", "event mail:few few@example.com"), EVENT(3601, 3, "X", "6", "", "event mail:few few@example.com") } },
	{ "limits-are-apart",
	  "[rule r]\nactions=mail:few snmp:nms\n" EACH,
	  { EVENT(0, 3, "X", "1", "", "event mail:few few@example.com; event snmp:nms nms.example.com:162"),
	    EVENT(0, 3, "X", "1", "", "event mail:few few@example.com; event snmp:nms nms.example.com:162"),
	    EVENT(0, 3, "X", "1", "", "event mail:few few@example.com; event snmp:nms nms.example.com:162"),
	    EVENT(0, 3, "X", "1", "", "event mail:few few@example.com; event snmp:nms nms.example.com:162"),
	    EVENT(0, 3, "X", "1", "", "event silent 3600 mail:few few@example.com; event snmp:nms nms.example.com:162"),
	    EVENT(0, 3, "X", "1", "", "event snmp:nms nms.example.com:162") } },
};

static Settings *settings_of(const char *rules)
{
	static const char *const none[] = { NULL };
	g_autofree char *text = g_strconcat(PAIR TARGETS, rules, NULL);
	g_autoptr(GError) error = NULL;
	Settings *settings = settings_parse(DEVICE, text, none, none, &error);

	g_assert_no_error(error);
	return settings;
}

static NotifyEvent *event_of(const Step *step)
{
	NotifyEvent *event = notify_event_new(step->application, step->name, step->priority, step->description, "", "a", 0);

	event->about = g_strdup(step->about);
	event->recovery = step->recovery;
	return event;
}

static char *said(const GPtrArray *deliveries)
{
	static const char *const kinds[RULES_N_KINDS] = { "event", "recovery", "folded", "flapping", "steady", "suppressed" };
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < deliveries->len; i++) {
		const RulesDelivery *each = deliveries->pdata[i];
		g_autofree char *to = g_strjoinv(",", each->to);

		g_string_append_printf(text, "%s%s", i ? "; " : "", kinds[each->kind]);
		if (each->n || each->kind == RULES_STEADY)
			g_string_append_printf(text, " %u", each->n);
		if (each->kind > RULES_RECOVERY)
			g_string_append_printf(text, " in %u", each->span_s);
		if (each->silent_s)
			g_string_append_printf(text, " silent %u", each->silent_s);
		g_string_append_printf(text, " %s %s", each->target->id, to);
		g_assert_nonnull(each->event);
	}
	return g_string_free(text, FALSE);
}

/* The clock of a test begins anywhere. */
static gint64 at_us(guint at_s)
{
	return 987654321 + at_s * G_TIME_SPAN_SECOND;
}

static void test_story(gconstpointer data)
{
	const Story *story = data;
	g_autoptr(Settings) settings = settings_of(story->rules);
	g_autoptr(NotifyRules) rules = rules_new(settings);

	for (const Step *step = story->steps; step->told; step++) {
		g_autoptr(GPtrArray) deliveries = g_ptr_array_new_with_free_func(rules_delivery_free);
		g_autofree char *got = NULL;

		if (step->name) {
			g_autoptr(NotifyEvent) event = event_of(step);
			rules_event(rules, event, at_us(step->at_s), deliveries);
		} else {
			rules_tick(rules, at_us(step->at_s), deliveries);
		}
		got = said(deliveries);
		if (strcmp(got, step->told) != 0)
			g_error("%s, step %u at %u s: told \"%s\", not \"%s\"", story->name, (guint)(step - story->steps), step->at_s, got, step->told);
		g_assert_cmpint(rules_next_us(rules), >, at_us(step->at_s));
	}
}

/* Told what had been, a new one goes on where the old one was: a recovery is known as one, a fold and a limit count on. */
static void test_memory(void)
{
	g_autoptr(Settings) settings = settings_of(BOSS "fold-s=60\nrecovery=true\n");
	static const Step before[] = { ABOUT(0, 3, "t", ""), ABOUT(10, 3, "u", "") };
	static const struct {
		Step step;
		const char *told;
	} after[] = { { ABOUT(20, 3, "u", ""), "" }, { WELL(30, "t", ""), "recovery mail:boss b@x" }, { TIME(70, ""), "folded 1 in 60 mail:boss b@x" } };
	g_autoptr(NotifyRules) rules = rules_new(settings);

	for (gsize i = 0; i < G_N_ELEMENTS(before); i++) {
		g_autoptr(NotifyEvent) event = event_of(&before[i]);
		/* On the wall it is 20 s, and the story's clock begins anew. */
		event->time_ms = 1700000000000 + before[i].at_s * 1000;
		rules_recall(rules, event, 1700000020000, at_us(20));
	}
	for (gsize i = 0; i < G_N_ELEMENTS(after); i++) {
		g_autoptr(GPtrArray) deliveries = g_ptr_array_new_with_free_func(rules_delivery_free);
		g_autofree char *got = NULL;

		if (after[i].step.name) {
			g_autoptr(NotifyEvent) event = event_of(&after[i].step);
			rules_event(rules, event, at_us(after[i].step.at_s), deliveries);
		} else {
			rules_tick(rules, at_us(after[i].step.at_s), deliveries);
		}
		got = said(deliveries);
		g_assert_cmpstr(got, ==, after[i].told);
	}
}

/* A flood of yesterday is not today's; one of a minute ago is. A clock that was set is no reason to say nothing. */
static void test_recall(void)
{
	static const struct {
		gint64 ago_ms;
		guint told;
	} rows[] = { { 86400000, 5 }, { 3600000, 5 }, { 60000, 0 }, { -1000000, 0 } };

	for (gsize row = 0; row < G_N_ELEMENTS(rows); row++) {
		g_autoptr(Settings) settings = settings_of("[rule r]\nactions=mail:few\n" EACH);
		g_autoptr(NotifyRules) rules = rules_new(settings);
		g_autoptr(GPtrArray) deliveries = g_ptr_array_new_with_free_func(rules_delivery_free);

		for (guint i = 0; i < 100; i++) {
			const Step step = EVENT(0, 3, "X", "y", "", "");
			g_autoptr(NotifyEvent) event = event_of(&step);

			event->time_ms = 1700000000000 - rows[row].ago_ms;
			rules_recall(rules, event, 1700000000000, 5 * G_TIME_SPAN_SECOND);
		}
		for (guint i = 0; i < 6; i++) {
			const Step step = EVENT(0, 3, "X", "y", "", "");
			g_autoptr(NotifyEvent) event = event_of(&step);

			rules_event(rules, event, 5 * G_TIME_SPAN_SECOND, deliveries);
		}
		g_assert_cmpuint(deliveries->len, ==, rows[row].told);
		for (guint i = 0; i < deliveries->len; i++)
			g_assert_cmpint(((RulesDelivery *)deliveries->pdata[i])->kind, ==, RULES_EVENT);
		/* What is due only now is told now. */
		g_ptr_array_set_size(deliveries, 0);
		rules_tick(rules, 3700 * G_TIME_SPAN_SECOND, deliveries);
		g_assert_cmpuint(deliveries->len, ==, 1);
		g_assert_cmpuint(((RulesDelivery *)deliveries->pdata[0])->n, ==, rows[row].told ? 1 : 101);
	}
}

/* What the other device told of is known here, uses up no limit, and its digests are marked as the other's task. */
static void test_elsewhere(void)
{
	g_autoptr(Settings) settings = settings_of("[rule r]\nactions=mail:few\nfold-s=60\nflap=none\nrecovery=true\n");
	g_autoptr(NotifyRules) rules = rules_new(settings);
	g_autoptr(GPtrArray) deliveries = g_ptr_array_new_with_free_func(rules_delivery_free);
	static const Step bad = ABOUT(0, 3, "t", ""), well = WELL(0, "t", "");
	g_autoptr(NotifyEvent) event = event_of(&bad), over = event_of(&well);
	const RulesDelivery *digest;

	g_free(event->device);
	event->device = g_strdup("b");
	for (guint i = 0; i < 100; i++)
		rules_event(rules, event, at_us(i % 50), NULL);
	rules_tick(rules, at_us(60), deliveries);
	g_assert_cmpuint(deliveries->len, ==, 1);
	digest = deliveries->pdata[0];
	g_assert_true(digest->kind == RULES_FOLDED && digest->n == 99 && digest->elsewhere && !digest->silent_s);
	/* It died; this device tells the end of it, with all of its limit. */
	rules_event(rules, over, at_us(70), deliveries);
	g_assert_cmpuint(deliveries->len, ==, 2);
	digest = deliveries->pdata[1];
	g_assert_true(digest->kind == RULES_RECOVERY && !digest->elsewhere);
	for (guint i = 0; i < 4; i++) {
		g_autofree char *about = g_strdup_printf("%u", i);
		const Step step = ABOUT(0, 3, about, "");
		g_autoptr(NotifyEvent) own = event_of(&step);

		rules_event(rules, own, at_us(71), deliveries);
	}
	g_assert_cmpuint(deliveries->len, ==, 6);
	g_assert_cmpuint(((RulesDelivery *)deliveries->pdata[5])->silent_s, >, 3500);
}

static void test_use(void)
{
	g_autoptr(Settings) settings = settings_of(BOSS "fold-s=60\nrecovery=true\n"), same = settings_of(BOSS "fold-s=60\nrecovery=true\nmin-priority=3\n");
	static const char *const none[] = { NULL };
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) without = settings_parse(DEVICE, PAIR, none, none, &error);
	g_autoptr(NotifyRules) rules = rules_new(settings);
	g_autoptr(GPtrArray) deliveries = g_ptr_array_new_with_free_func(rules_delivery_free);
	static const Step bad = ABOUT(0, 1, "t", ""), well = WELL(0, "t", "");
	g_autoptr(NotifyEvent) event = event_of(&bad), over = event_of(&well);

	rules_event(rules, event, at_us(0), deliveries);
	rules_event(rules, event, at_us(1), deliveries);
	g_assert_cmpuint(deliveries->len, ==, 1);
	/* What was told by a rule is told to be over by it, though it would not tell of the like any more. */
	rules_use(rules, same);
	rules_event(rules, over, at_us(2), deliveries);
	g_assert_cmpuint(deliveries->len, ==, 2);
	g_assert_true(((RulesDelivery *)deliveries->pdata[1])->target == settings_target(same, "mail:boss"));
	rules_use(rules, without);
	rules_event(rules, event, at_us(3), deliveries);
	rules_tick(rules, at_us(100000), deliveries);
	g_assert_cmpuint(deliveries->len, ==, 2);
}

static void test_shows(void)
{
	static const struct {
		const char *rules, *target;
		Step event;
		bool shown;
	} rows[] = {
		{ "", "display", EVENT(0, 1, "X", "y", "", ""), false },
		{ "", "display", EVENT(0, 2, "X", "y", "", ""), true },
		{ "", "led:front", EVENT(0, 3, "X", "y", "", ""), false },
		{ "", "display", WELL(0, "t", ""), false },
		{ "", "display", EVENT(0, 3, "REDUNDANCY", "backup caught up", "", ""), false },
		{ "[rule r]\nactions=led:front\n", "display", EVENT(0, 3, "X", "y", "", ""), false },
		{ "[rule r]\nactions=led:front\n", "led:front", EVENT(0, 1, "X", "y", "", ""), true },
		{ "[rule r]\nactions=led:front\nmin-priority=2\n", "led:front", EVENT(0, 1, "X", "y", "", ""), false },
		{ "[rule r]\nactions=display\nname=z\n[rule s]\nactions=display\nname=y\n", "display", EVENT(0, 1, "X", "y", "", ""), true },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(Settings) settings = settings_of(rows[i].rules);
		g_autoptr(NotifyRules) rules = rules_new(settings);
		g_autoptr(NotifyEvent) event = event_of(&rows[i].event);

		g_assert_cmpint(rules_shows(rules, event, settings_target(settings, rows[i].target)), ==, rows[i].shown);
	}
}

/* What an administrator who wrote a target and a rule, and nothing else, gets of a bad night. */
static void test_defaults(void)
{
	static const struct {
		const char *what;
		guint n, every_s;
		bool one, pairs; /* about one thing; with recoveries in between */
		guint mails, sms, traps;
	} nights[] = {
		{ "a link that flaps", 500, 2, true, true, 7, 7, 500 }, /* five changes, flapping, steady again */
		{ "a link that flaps slowly", 20, 130, true, true, 20, 17, 20 }, /* what the limit of SMS leaves below priority 3, and how many more */
		{ "the same again and again", 500, 1, true, false, 3, 3, 500 }, /* the first, flapping, steady again */
		{ "the same now and then", 10, 300, true, false, 10, 10, 10 },
		{ "500 phones are refused", 500, 1, false, false, 25, 17, 500 }, /* the same of both limits */
	};

	for (gsize i = 0; i < G_N_ELEMENTS(nights); i++) {
		g_autoptr(Settings) settings = settings_of("[rule r]\nactions=mail:boss sms:oncall snmp:nms\nrecovery=true\n");
		g_autoptr(NotifyRules) rules = rules_new(settings);
		g_autoptr(GPtrArray) deliveries = g_ptr_array_new_with_free_func(rules_delivery_free);
		guint told[SETTINGS_N_TARGET_KINDS] = { 0 }, at_s = 0;

		for (guint k = 0; k < nights[i].n; k++, at_s += nights[i].every_s) {
			g_autofree char *about = nights[i].one ? g_strdup("t") : g_strdup_printf("phone %u", k);
			Step step = ABOUT(0, 2, about, "");
			step.recovery = nights[i].pairs && k % 2;
			g_autoptr(NotifyEvent) event = event_of(&step);

			rules_event(rules, event, at_us(at_s), deliveries);
		}
		while (rules_next_us(rules) != G_MAXINT64)
			rules_tick(rules, rules_next_us(rules), deliveries);
		for (guint k = 0; k < deliveries->len; k++)
			told[((RulesDelivery *)deliveries->pdata[k])->target->kind]++;
		if (told[SETTINGS_TARGET_MAIL] != nights[i].mails || told[SETTINGS_TARGET_SMS] != nights[i].sms || told[SETTINGS_TARGET_SNMP] != nights[i].traps)
			g_error("%s: %u mails, %u SMS, %u traps", nights[i].what, told[SETTINGS_TARGET_MAIL], told[SETTINGS_TARGET_SMS], told[SETTINGS_TARGET_SNMP]);
	}
}

/* Ten thousand things that never recover: bounded, every one is told or counted, and quick. */
static void test_flood(void)
{
	g_autoptr(Settings) settings = settings_of(BOSS "flap=3/60\nfold-s=60\n");
	g_autoptr(NotifyRules) rules = rules_new(settings);
	guint told = 0;

	for (guint i = 0; i < 10000; i++) {
		g_autoptr(GPtrArray) deliveries = g_ptr_array_new_with_free_func(rules_delivery_free);
		g_autofree char *about = g_strdup_printf("thing %u", i);
		const Step step = ABOUT(0, 3, about, "");
		g_autoptr(NotifyEvent) event = event_of(&step);

		rules_event(rules, event, at_us(0) + i, deliveries);
		told += deliveries->len;
	}
	g_assert_cmpuint(told, ==, 30);
	g_autoptr(GPtrArray) deliveries = g_ptr_array_new_with_free_func(rules_delivery_free);
	rules_tick(rules, at_us(3600), deliveries);
	g_assert_cmpuint(deliveries->len, ==, 1);
	g_assert_cmpuint(((RulesDelivery *)deliveries->pdata[0])->n, ==, 10000 - 30);
}

static void test_text(void)
{
	static const struct {
		RulesDelivery delivery;
		const char *subject, *body;
	} rows[] = {
		{ { .kind = RULES_EVENT }, "PBX left: SIP bad: It is bad", "It is bad\nvery\n\nEvent:       bad\nApplication: SIP\nPriority:    3\nTime:*\n"
		  "Device:      a\nTold by:     PBX left\n" },
		{ { .kind = RULES_EVENT, .silent_s = 1800 }, "PBX left: SIP bad: It is bad", "*\nThe limit for this target is reached.* in 30 min.\n" },
		{ { .kind = RULES_RECOVERY }, "PBX left: well again: SIP bad: It is bad", "It is bad\nvery\n*" },
		{ { .kind = RULES_RECOVERY, .n = 1 }, "PBX left: well again: *", "Before this, 1 more event like the one that was told.\n*" },
		{ { .kind = RULES_FOLDED, .n = 2, .span_s = 60 }, "PBX left: 2 more: SIP bad: It is bad", "2 more events of this kind within 60 s. The last:\n\nIt is bad*" },
		{ { .kind = RULES_FLAPPING, .n = 6, .span_s = 500 }, "PBX left: flapping: SIP bad: It is bad", "This has changed 6 times within 8 min.*" },
		{ { .kind = RULES_STEADY, .n = 1, .span_s = 7200 }, "PBX left: steady again: SIP bad: It is bad", "This is steady again, after 1 more change within 2 h.*" },
		{ { .kind = RULES_SUPPRESSED, .n = 7, .span_s = 3600 }, "PBX left: 7 more messages suppressed, the last: SIP bad: It is bad",
		  "7 more messages were suppressed within 60 min, because *" },
		{ { .kind = RULES_SUPPRESSED, .n = 1, .span_s = 3600 }, "PBX left: 1 more message suppressed, the last: SIP bad: *", "1 more message was suppressed *" },
	};
	g_autoptr(NotifyEvent) event = notify_event_new("SIP", "bad", 3, "It is bad\nvery", "", "a", 1700000000000);
	g_autofree char *long_text = g_strnfill(1000, 'x');

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		RulesDelivery delivery = rows[i].delivery;
		g_autofree char *subject = NULL, *body = NULL;

		delivery.event = event;
		subject = rules_subject(&delivery, "PBX left");
		body = rules_body(&delivery, "PBX left");
		if (!g_pattern_match_simple(rows[i].subject, subject) || !g_pattern_match_simple(rows[i].body, body))
			g_error("row %zu: \"%s\"\n%s", i, subject, body);
	}
	g_free(event->description);
	event->description = g_steal_pointer(&long_text);
	RulesDelivery delivery = { .event = event };
	g_autofree char *subject = rules_subject(&delivery, "PBX left");
	g_assert_cmpint(g_utf8_strlen(subject, -1), ==, 160);
}

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "");
	g_test_init(&argc, &argv, NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(stories); i++) {
		g_autofree char *path = g_strconcat("/rules/", stories[i].name, NULL);
		g_test_add_data_func(path, &stories[i], test_story);
	}
	g_test_add_func("/rules/memory", test_memory);
	g_test_add_func("/rules/recall", test_recall);
	g_test_add_func("/rules/elsewhere", test_elsewhere);
	g_test_add_func("/rules/use", test_use);
	g_test_add_func("/rules/shows", test_shows);
	g_test_add_func("/rules/defaults", test_defaults);
	g_test_add_func("/rules/flood", test_flood);
	g_test_add_func("/rules/text", test_text);
	return g_test_run();
}
