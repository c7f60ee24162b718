/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/plan.c - entries that differ -> steps; steps <-> journal. */
#include "syncd/apply/plan.h"

#include <stdlib.h>
#include <string.h>

#include "syncd/error.h"
#include "syncd/files/path.h"

#define HEADER "understudy-journal 1"
#define BOOT "boot "
#define MIGRATED "migrated "

static const char *const step_words[] = {
	[SYNC_STEP_UNLINK] = "unlink", [SYNC_STEP_RMDIR] = "rmdir", [SYNC_STEP_MKDIR] = "mkdir",
	[SYNC_STEP_PLACE] = "place",   [SYNC_STEP_ATTR] = "attr",
};
static const char *const kind_words[] = {
	[SYNC_KIND_FILE] = "f",
	[SYNC_KIND_LINK] = "l",
	[SYNC_KIND_FOLDER] = "d",
};

SyncEntry *sync_entry_new(const char *path, const SyncMeta *meta, const char *id)
{
	gsize length = strlen(path) + 1;
	SyncEntry *entry = g_malloc0(offsetof(SyncEntry, path) + length);

	memcpy(entry->path, path, length);
	if (meta)
		sync_meta_init_copy(entry->meta, meta);
	if (id)
		g_strlcpy(entry->id, id, sizeof entry->id);
	return entry;
}

void sync_entry_free(SyncEntry *entry)
{
	if (!entry)
		return;
	sync_meta_clear(entry->meta);
	if (entry->set)
		sync_shared_free(entry->set);
	g_free(entry->was);
	g_free(entry);
}

bool sync_step_has_meta(SyncStepKind kind)
{
	return kind != SYNC_STEP_UNLINK && kind != SYNC_STEP_RMDIR;
}

SyncPlan *sync_plan_new(const char *ref, const char *commit)
{
	SyncPlan *plan = g_new0(SyncPlan, 1);

	plan->ref = g_strdup(ref);
	plan->commit = g_strdup(commit);
	plan->steps = g_ptr_array_new_with_free_func((GDestroyNotify)sync_entry_free);
	return plan;
}

void sync_plan_free(SyncPlan *plan)
{
	if (!plan)
		return;
	g_free(plan->ref);
	g_free(plan->commit);
	g_free(plan->boot);
	g_free(plan->migrated);
	g_ptr_array_unref(plan->steps);
	g_free(plan);
}

/* Takes @step. */
static void add(SyncPlan *plan, SyncStepKind kind, char *set, SyncStep *step)
{
	step->kind = kind;
	step->set = g_ref_string_acquire(set);
	g_ptr_array_add(plan->steps, step);
}

static int by_path(gconstpointer a, gconstpointer b)
{
	return strcmp((*(const SyncEntry *const *)a)->path, (*(const SyncEntry *const *)b)->path);
}

static int at_path(gconstpointer path, gconstpointer entry)
{
	return strcmp(path, (*(const SyncEntry *const *)entry)->path);
}

static const SyncEntry *find(const GPtrArray *sorted, const char *path)
{
	SyncEntry **found = sorted->len ? bsearch(path, sorted->pdata, sorted->len, sizeof(gpointer), at_path) : NULL;

	return found ? *found : NULL;
}

static bool is_folder(const SyncEntry *entry)
{
	return entry && entry->meta->kind == SYNC_KIND_FOLDER;
}

/* What is in the plan now belongs to it; the rest goes. */
static void let_go(GPtrArray *entries)
{
	for (guint i = 0; i < entries->len; i++) {
		SyncEntry *entry = entries->pdata[i];

		entries->pdata[i] = NULL;
		if (!entry->set)
			sync_entry_free(entry);
	}
	g_ptr_array_set_size(entries, 0);
}

void sync_plan_add(SyncPlan *plan, const char *set_name, GPtrArray *old, GPtrArray *new_)
{
	char *set = sync_shared_new(set_name);

	/* A folder's path is a prefix of everything in it, so the byte order of paths puts each folder before its contents. */
	g_ptr_array_sort(old, by_path);
	g_ptr_array_sort(new_, by_path);
	for (guint i = old->len; i-- > 0;) {
		SyncEntry *entry = old->pdata[i];
		const SyncEntry *next = find(new_, entry->path);

		/* A set's own folder stays even when the commit has none: an empty set is less harm than a missing one. */
		if (*entry->path == '\0')
			continue;
		if (is_folder(entry) && !is_folder(next)) {
			add(plan, SYNC_STEP_RMDIR, set, entry);
		} else if (!is_folder(entry) && (!next || is_folder(next))) {
			add(plan, SYNC_STEP_UNLINK, set, entry);
			entry->stage = plan->steps->len;
		}
	}
	for (guint i = 0; i < new_->len; i++) {
		SyncEntry *entry = new_->pdata[i];

		if (is_folder(entry) && !is_folder(find(old, entry->path))) {
			add(plan, SYNC_STEP_MKDIR, set, entry);
			entry->stage = plan->steps->len;
		}
	}
	for (guint i = 0; i < new_->len; i++) {
		SyncEntry *entry = new_->pdata[i];

		if (is_folder(entry))
			continue;
		add(plan, SYNC_STEP_PLACE, set, entry);
		entry->stage = plan->steps->len;
	}
	for (guint i = new_->len; i-- > 0;) {
		SyncEntry *entry = new_->pdata[i];

		if (is_folder(entry) && is_folder(find(old, entry->path)))
			add(plan, SYNC_STEP_ATTR, set, entry);
	}
	let_go(old);
	let_go(new_);
	sync_shared_free(set);
}

static void take(SyncPlan *plan, SyncStepKind kind, const char *set_name, SyncStep *step)
{
	char *set = sync_shared_new(set_name);

	add(plan, kind, set, step);
	sync_shared_free(set);
}

void sync_plan_add_unlink(SyncPlan *plan, const char *set, const char *path)
{
	take(plan, SYNC_STEP_UNLINK, set, sync_entry_new(path, NULL, NULL));
}

static bool may_have_been(SyncStepKind kind)
{
	return kind == SYNC_STEP_PLACE || kind == SYNC_STEP_UNLINK;
}

static void append_step(GString *text, const SyncStep *step)
{
	g_autofree char *set = sync_escape(step->set);
	g_autofree char *path = sync_escape(step->path);

	g_string_append_printf(text, "%s %s %s", step_words[step->kind], set, path);
	if (sync_step_has_meta(step->kind)) {
		g_autofree char *owner = sync_escape(step->meta->owner);
		g_autofree char *group = sync_escape(step->meta->group);
		g_string_append_printf(text, " %u %s %04o %s %s %" G_GINT64_FORMAT, step->stage, kind_words[step->meta->kind],
				       step->meta->mode, owner, group, step->meta->mtime_ns);
	}
	if (step->stage && may_have_been(step->kind)) {
		const SyncWas nothing = { .id = "-" }, *was = step->was ? step->was : &nothing;

		g_string_append_printf(text, " %u %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %s", step->stage,
				       step->staged_inode, was->inode, was->size, was->mtime_ns, was->id);
	}
	g_string_append_c(text, '\n');
}

static void append_header(GString *text, const SyncPlan *plan)
{
	g_string_append_printf(text, HEADER "\nref %s\ncommit %s\n", plan->ref, plan->commit);
	if (plan->boot)
		g_string_append_printf(text, BOOT "%s\n", plan->boot);
	if (plan->migrated)
		g_string_append_printf(text, MIGRATED "%s\n", plan->migrated);
}

bool sync_plan_journal_part(const SyncPlan *plan, guint *at, gsize most, GString *text)
{
	gsize before = text->len;

	/* The header, the steps, the end. */
	for (; *at < plan->steps->len + 2 && text->len - before < most; ++*at) {
		if (*at == 0)
			append_header(text, plan);
		else if (*at <= plan->steps->len)
			append_step(text, plan->steps->pdata[*at - 1]);
		else
			g_string_append(text, "end\n");
	}
	return text->len > before;
}

char *sync_plan_to_journal(const SyncPlan *plan)
{
	GString *text = g_string_new(NULL);
	guint at = 0;

	(void)sync_plan_journal_part(plan, &at, G_MAXSIZE, text);
	return g_string_free(text, FALSE);
}

static int word_index(const char *word, const char *const *words, guint n_words)
{
	for (guint i = 0; i < n_words; i++)
		if (g_str_equal(word, words[i]))
			return i;
	return -1;
}

/* What an earlier version did not write. */
static bool parse_was(SyncStep *step, char **words)
{
	guint64 stage, staged_inode, inode, size;
	gint64 mtime_ns;

	if (!g_ascii_string_to_unsigned(words[0], 10, 1, G_MAXUINT, &stage, NULL) ||
	    !g_ascii_string_to_unsigned(words[1], 10, 0, G_MAXUINT64, &staged_inode, NULL) ||
	    !g_ascii_string_to_unsigned(words[2], 10, 0, G_MAXUINT64, &inode, NULL) ||
	    !g_ascii_string_to_unsigned(words[3], 10, 0, G_MAXINT64, &size, NULL) ||
	    !g_ascii_string_to_signed(words[4], 10, G_MININT64, G_MAXINT64, &mtime_ns, NULL) || *words[5] == '\0' || strlen(words[5]) > SYNC_ID_LENGTH)
		return false;
	step->stage = stage;
	step->staged_inode = staged_inode;
	if (g_str_equal(words[5], "-"))
		return true;
	step->was = g_new0(SyncWas, 1);
	*step->was = (SyncWas){ .inode = inode, .size = (gint64)size, .mtime_ns = mtime_ns };
	g_strlcpy(step->was->id, words[5], sizeof step->was->id);
	return true;
}

static bool parse_step(SyncPlan *plan, const char *line)
{
	g_auto(GStrv) words = g_strsplit(line, " ", 16);
	guint n_words = g_strv_length(words);
	if (n_words < 3)
		return false;
	int kind = word_index(words[0], step_words, G_N_ELEMENTS(step_words));
	g_autofree char *set = sync_unescape(words[1], NULL);
	g_autofree char *path = sync_unescape(words[2], NULL);
	if (kind < 0 || !set || !path || !sync_path_ok(path))
		return false;
	guint n_plain = sync_step_has_meta(kind) ? 9 : 3;
	bool with_was = may_have_been(kind) && n_words == n_plain + 6;
	if (n_words != n_plain && !with_was)
		return false;
	if (!sync_step_has_meta(kind)) {
		SyncStep *step = sync_entry_new(path, NULL, NULL);

		take(plan, kind, set, step);
		return !with_was || parse_was(step, words + n_plain);
	}
	guint64 stage, mode, mtime_ns;
	int what = word_index(words[4], kind_words, G_N_ELEMENTS(kind_words));
	g_autofree char *owner = sync_unescape(words[6], NULL);
	g_autofree char *group = sync_unescape(words[7], NULL);
	if (!g_ascii_string_to_unsigned(words[3], 10, 0, G_MAXUINT, &stage, NULL) || what < 0 ||
	    !g_ascii_string_to_unsigned(words[5], 8, 0, 07777, &mode, NULL) || !owner || !group ||
	    !g_ascii_string_to_unsigned(words[8], 10, 0, G_MAXINT64, &mtime_ns, NULL))
		return false;
	g_autoptr(SyncMeta) meta = sync_meta_new(what, mode, owner, group, mtime_ns, NULL);
	SyncStep *step = sync_entry_new(path, meta, NULL);
	step->stage = stage;
	take(plan, kind, set, step);
	return !with_was || parse_was(step, words + n_plain);
}

/* The line at *@at, which goes on to the next one; NULL: the text is at its end. Transfer full. */
static char *next_line(const char **at)
{
	const char *begin = *at, *end = strchr(begin, '\n');

	if (!end)
		return NULL;
	*at = end + 1;
	return g_strndup(begin, (gsize)(end - begin));
}

static bool not_whole(GError **error)
{
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "not a whole journal");
	return false;
}

static bool parse_steps(SyncPlan *plan, const char *at, GError **error)
{
	for (guint number = 4;; number++) {
		g_autofree char *line = next_line(&at);

		if (!line)
			return not_whole(error);
		if (number == 4 && g_str_has_prefix(line, BOOT)) {
			plan->boot = g_strdup(line + strlen(BOOT));
			continue;
		}
		if (plan->steps->len == 0 && !plan->migrated && g_str_has_prefix(line, MIGRATED)) {
			plan->migrated = g_strdup(line + strlen(MIGRATED));
			continue;
		}
		if (*at == '\0')
			return g_str_equal(line, "end") || not_whole(error);
		if (!parse_step(plan, line)) {
			g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "journal, line %u: malformed", number);
			return false;
		}
	}
}

SyncPlan *sync_plan_from_journal(const char *text, GError **error)
{
	const char *at = text;
	g_autofree char *header = next_line(&at), *ref = header ? next_line(&at) : NULL, *commit = ref ? next_line(&at) : NULL;

	if (!commit || !g_str_equal(header, HEADER) || !g_str_has_prefix(ref, "ref ") || !g_str_has_prefix(commit, "commit ")) {
		not_whole(error);
		return NULL;
	}
	g_autoptr(SyncPlan) plan = sync_plan_new(ref + strlen("ref "), commit + strlen("commit "));
	return parse_steps(plan, at, error) ? g_steal_pointer(&plan) : NULL;
}
