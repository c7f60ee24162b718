/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/news.c - what the threads of the refs have to say, told in the main context as of one engine. */
#include "engine-private.h"
#include "syncd/unite/apart.h"

typedef enum { NEWS_LINE, NEWS_CHANGE, NEWS_DIVERGED, NEWS_APART, NEWS_ACTIVITY, NEWS_COMMITTED, NEWS_APPLIED, NEWS_NOTICE, NEWS_HELD, NEWS_PROBLEM, NEWS_DAMAGED } NewsKind;

typedef struct {
	SyncLine *line;
	NewsKind kind;
	char *a, *b;
	char **list;
	GVariant *change;
	SyncTerm term;
	guint n;
} News;

/* The later in this list hides the earlier. */
static const char *const activities[] = { "idle", "scanning", "committing", "fetching", "migrating", "validating", "staging", "applying" };

static guint rank(const char *activity)
{
	for (guint i = 0; activity && i < G_N_ELEMENTS(activities); i++)
		if (g_str_equal(activity, activities[i]))
			return i;
	return 0;
}

static void take(char **place, const char *text)
{
	g_free(*place);
	*place = g_strdup(text);
}

void sync_engine_lines_changed(SyncEngine *engine)
{
	GVariantBuilder stored, applied;

	g_variant_builder_init(&stored, G_VARIANT_TYPE("a{ss}"));
	g_variant_builder_init(&applied, G_VARIANT_TYPE("a{ss}"));
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		const SyncLineNews *news = &engine->news[i];

		if (news->stored && *news->stored)
			g_variant_builder_add(&stored, "{ss}", engine->lines[i].name, news->stored);
		if (news->applied && *news->applied)
			g_variant_builder_add(&applied, "{ss}", engine->lines[i].name, news->applied);
	}
	g_autoptr(GVariant) all_stored = g_variant_ref_sink(g_variant_builder_end(&stored));
	g_autoptr(GVariant) all_applied = g_variant_ref_sink(g_variant_builder_end(&applied));
	/* Not before every line has said what it has: one that is not named has nothing. */
	for (guint i = 0; i < SYNC_N_REFS; i++)
		if (!engine->news[i].stored)
			return;
	const SyncTerm *newest = &engine->news[0].term;
	for (guint i = 1; i < SYNC_N_REFS; i++)
		if (sync_term_compare(&engine->news[i].term, newest) > 0)
			newest = &engine->news[i].term;
	g_autoptr(GVariant) term = g_variant_ref_sink(g_variant_new("(ts)", newest->number, newest->id));
	engine->events->lines(all_stored, all_applied, term, engine->user_data);
}

static void tell_activity(SyncEngine *engine)
{
	guint most = 0;

	for (guint i = 0; i < SYNC_N_REFS; i++)
		most = MAX(most, rank(engine->news[i].activity));
	engine->events->activity(activities[most], engine->user_data);
}

static void tell_problem(SyncEngine *engine)
{
	const char *text = "";

	for (guint i = 0; i < SYNC_N_REFS && !*text; i++)
		text = engine->news[i].problem ? engine->news[i].problem : "";
	engine->events->problem(text, engine->user_data);
}

static void news_free(gpointer data)
{
	News *news = data;

	g_free(news->a);
	g_free(news->b);
	g_strfreev(news->list);
	g_clear_pointer(&news->change, g_variant_unref);
	g_free(news);
}

static gboolean deliver(gpointer data)
{
	News *news = data;
	SyncEngine *engine = news->line->engine;
	SyncLineNews *known = &engine->news[news->line->ref];
	const SyncEngineEvents *events = engine->events;
	const char *ref = news->line->name;

	/* What is finished at the start is told of when somebody is there to hear it. */
	if (news->kind == NEWS_NOTICE && !engine->heard) {
		engine->early = engine->early ? engine->early : g_ptr_array_new_with_free_func(news_free);
		g_ptr_array_add(engine->early, news);
		return G_SOURCE_REMOVE;
	}
	switch (news->kind) {
	case NEWS_LINE:
		take(&known->stored, news->a);
		take(&known->applied, news->b);
		sync_term_clear(&known->term);
		known->term = news->term;
		news->term = (SyncTerm){ 0 };
		sync_engine_lines_changed(engine);
		break;
	case NEWS_CHANGE:
		events->change(ref, news->change, engine->user_data);
		break;
	case NEWS_DIVERGED:
		events->diverged((const char *const *)news->list, engine->user_data);
		break;
	case NEWS_APART:
		events->apart((const char *const *)news->list, engine->user_data);
		break;
	case NEWS_ACTIVITY:
		take(&known->activity, news->a);
		tell_activity(engine);
		break;
	case NEWS_COMMITTED:
		events->committed(ref, news->a, news->b, news->n, engine->user_data);
		break;
	case NEWS_APPLIED:
		events->applied(ref, news->a, news->n, engine->user_data);
		break;
	case NEWS_NOTICE:
		events->notice(news->a, news->n, news->b, engine->user_data);
		break;
	case NEWS_HELD:
		events->held(ref, news->a, news->b, engine->user_data);
		break;
	case NEWS_DAMAGED:
		events->damaged(engine->user_data);
		break;
	case NEWS_PROBLEM:
		take(&known->problem, news->a);
		tell_problem(engine);
		break;
	}
	news_free(news);
	return G_SOURCE_REMOVE;
}

void sync_news_heard(SyncEngine *engine)
{
	g_autoptr(GPtrArray) early = g_steal_pointer(&engine->early);

	engine->heard = true;
	for (guint i = 0; early && i < early->len; i++)
		deliver(g_steal_pointer(&early->pdata[i]));
	if (early)
		g_ptr_array_set_free_func(early, NULL);
}

void sync_news_clear(SyncEngine *engine)
{
	g_clear_pointer(&engine->early, g_ptr_array_unref);
}

static void tell(SyncLine *line, News content)
{
	News *news = g_new(News, 1);

	*news = content;
	news->line = line;
	sync_engine_post(NULL, G_PRIORITY_DEFAULT, deliver, news);
}

void sync_line_tell(SyncLine *line)
{
	git_oid head, fetched;
	bool has_head = sync_repo_get_ref(line->repo, "heads", line->name, &head);
	char *applied = has_head ? sync_oid_text(&head) : g_strdup("");
	char *stored = sync_repo_get_ref(line->repo, "fetched", line->name, &fetched) ? sync_oid_text(&fetched) : g_strdup(applied);
	SyncTerm term = { 0 };

	/* A commit that cannot be read is passed over: that is found out, and told of, elsewhere. */
	if (!has_head || !sync_repo_term_of(line->repo, &head, &term, NULL))
		term = (SyncTerm){ .id = g_strdup("") };
	tell(line, (News){ .kind = NEWS_LINE, .a = stored, .b = applied, .term = term });
}

void sync_line_tell_change(SyncLine *line, GVariant *change)
{
	if (change)
		tell(line, (News){ .kind = NEWS_CHANGE, .change = g_variant_ref(change) });
}

void sync_line_tell_diverged(SyncLine *line)
{
	tell(line, (News){ .kind = NEWS_DIVERGED, .list = sync_repo_diverged(line->repo) });
}

void sync_line_tell_apart(SyncLine *line)
{
	tell(line, (News){ .kind = NEWS_APART, .list = sync_apart_list(line->repo) });
}

void sync_line_tell_activity(SyncLine *line, const char *activity)
{
	tell(line, (News){ .kind = NEWS_ACTIVITY, .a = g_strdup(activity) });
}

void sync_line_tell_committed(SyncLine *line, const char *commit, const char *message, guint n_changes)
{
	tell(line, (News){ .kind = NEWS_COMMITTED, .a = g_strdup(commit), .b = sync_term_strip(message), .n = n_changes });
}

void sync_line_tell_applied(SyncLine *line, const char *commit, guint n_changes)
{
	tell(line, (News){ .kind = NEWS_APPLIED, .a = g_strdup(commit), .n = n_changes });
}

void sync_line_tell_held(SyncLine *line, const char *commit, const char *why)
{
	tell(line, (News){ .kind = NEWS_HELD, .a = g_strdup(commit), .b = g_utf8_make_valid(why, -1) });
}

void sync_line_tell_damaged(SyncLine *line)
{
	tell(line, (News){ .kind = NEWS_DAMAGED });
}

void sync_line_tell_problem(SyncLine *line, const char *text)
{
	tell(line, (News){ .kind = NEWS_PROBLEM, .a = g_utf8_make_valid(text, -1) });
}

void sync_line_notice(SyncLine *line, const char *name, guint8 priority, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(line, (News){ .kind = NEWS_NOTICE, .a = g_strdup(name), .b = g_strdup_vprintf(format, args), .n = priority });
	va_end(args);
}
