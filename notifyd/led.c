/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/led.c - taking a LED, blinking it, giving it back. */
#include "led.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "event.h"

#define LOOK_AGAIN_MS 10000
#define LIT_MAX 10000 /* events that one LED remembers; of more the oldest are not what it blinks for */

typedef struct {
	guint ms[SETTINGS_LED_TIMES];
	gsize n; /* 0: dark */
} Pattern;

typedef struct {
	Leds *leds;
	char *target, *name; /* "led:front", the LED's own */
	Pattern patterns[4]; /* by priority */
	GHashTable *lit;     /* event id -> its priority */
	guint n_lit[4];
	guint8 shown;        /* the priority that it shows; 0: nothing */
	bool is_taken;
	char *trigger;       /* before it was taken; NULL: it has none to give back */
	char *brightness, *bright; /* before; what "light" is */
	gsize step;
	guint timer, test_timer;
} Led;

struct Leds {
	char *folder, *state;
	GPtrArray *all; /* of Led* */
};

static void led_step(Led *led);

/* ---- Files ---- */

static char *read_line(const Led *led, const char *file)
{
	g_autofree char *path = g_build_filename(led->leds->folder, led->name, file, NULL);
	char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? g_strstrip(text) : NULL;
}

/* In place, as an attribute of the kernel's is written. 0, or errno. */
static int write_line(const Led *led, const char *file, const char *text)
{
	g_autofree char *path = g_build_filename(led->leds->folder, led->name, file, NULL);
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_TRUNC), failure = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		failure = errno;
	close(fd);
	return failure;
}

/* "none [timer] heartbeat": the one in brackets. */
static char *trigger_in(const char *line)
{
	const char *open = line ? strchr(line, '[') : NULL, *end = open ? strchr(open, ']') : NULL;

	return end ? g_strndup(open + 1, (gsize)(end - open) - 1) : NULL;
}

static char *boot_id(void)
{
	char *text = NULL;

	return g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL) ? g_strstrip(text) : g_strdup("");
}

/* What is taken now, for a notifyd that comes after a death; no file when there is nothing. */
static void save_state(const Leds *leds)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) error = NULL;
	g_autofree char *boot = boot_id();
	bool any = false;

	g_key_file_set_string(file, "boot", "id", boot);
	for (guint i = 0; i < leds->all->len; i++) {
		const Led *led = leds->all->pdata[i];

		if (!led->is_taken)
			continue;
		any = true;
		g_key_file_set_string(file, led->name, "trigger", led->trigger ? led->trigger : "");
		g_key_file_set_string(file, led->name, "brightness", led->brightness);
	}
	g_autofree char *text = g_key_file_to_data(file, NULL, NULL), *other = g_strconcat(leds->state, ".new", NULL);
	if (!any)
		(void)g_unlink(leds->state);
	/* Whole, and not waited for: after a loss of power the kernel has given the LEDs back. */
	else if (!g_file_set_contents_full(other, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, &error))
		g_warning("LEDs: %s", error->message);
	else if (g_rename(other, leds->state) < 0)
		g_warning("LEDs: %s: %s", leds->state, g_strerror(errno));
}

/* ---- One LED ---- */

static void stop(guint *timer)
{
	if (*timer)
		g_source_remove(*timer);
	*timer = 0;
}

static void give_back(Led *led)
{
	stop(&led->timer);
	if (!led->is_taken)
		return;
	led->is_taken = false;
	/* The brightness first: a trigger that is set then does as it likes. */
	(void)write_line(led, "brightness", led->trigger && !g_str_equal(led->trigger, "none") ? "0" : led->brightness);
	if (led->trigger)
		(void)write_line(led, "trigger", led->trigger);
	save_state(led->leds);
}

/* What is in its way, NULL: nothing. */
static char *what_hinders(const Led *led)
{
	g_autofree char *path = g_build_filename(led->leds->folder, led->name, NULL);
	g_autofree char *brightness = g_build_filename(path, "brightness", NULL);

	if (!g_file_test(path, G_FILE_TEST_IS_DIR))
		return g_strdup_printf("this device has no LED %s", led->name);
	if (access(brightness, W_OK) < 0)
		return g_strdup_printf("the LED %s cannot be set: %s", led->name, g_strerror(errno));
	return NULL;
}

static bool take(Led *led)
{
	g_autofree char *hindrance = what_hinders(led), *triggers = NULL;

	if (led->is_taken)
		return true;
	if (hindrance)
		return false;
	triggers = read_line(led, "trigger");
	g_free(led->trigger);
	led->trigger = trigger_in(triggers);
	g_free(led->brightness);
	led->brightness = read_line(led, "brightness");
	if (!led->brightness)
		led->brightness = g_strdup("0");
	g_free(led->bright);
	led->bright = read_line(led, "max_brightness");
	if (!led->bright)
		led->bright = g_strdup("1");
	led->is_taken = true;
	save_state(led->leds);
	if (led->trigger && !g_str_equal(led->trigger, "none"))
		(void)write_line(led, "trigger", "none");
	return true;
}

static gboolean on_timer(gpointer user_data)
{
	Led *led = user_data;

	led->timer = 0;
	led_step(led);
	return G_SOURCE_REMOVE;
}

/* Light or dark, for as long as the pattern says; one that is not there is looked for again. */
static void led_step(Led *led)
{
	const Pattern *pattern = &led->patterns[led->shown];

	if (!take(led)) {
		led->timer = g_timeout_add(LOOK_AGAIN_MS, on_timer, led);
		return;
	}
	if (write_line(led, "brightness", led->step % 2 ? "0" : led->bright) != 0) {
		/* It was pulled out; what comes back is another one. */
		led->is_taken = false;
		save_state(led->leds);
		led->timer = g_timeout_add(LOOK_AGAIN_MS, on_timer, led);
		return;
	}
	if (pattern->n < 2)
		return;
	led->timer = g_timeout_add(pattern->ms[led->step], on_timer, led);
	led->step = (led->step + 1) % pattern->n;
}

static void show(Led *led, guint8 priority)
{
	if (priority == led->shown)
		return;
	led->shown = priority;
	led->step = 0;
	stop(&led->timer);
	if (led->patterns[priority].n)
		led_step(led);
	else
		give_back(led);
}

static void show_highest(Led *led)
{
	guint8 priority = 3;

	while (priority && !led->n_lit[priority])
		priority--;
	if (!led->test_timer)
		show(led, priority);
}

static void led_free(gpointer data)
{
	Led *led = data;

	stop(&led->test_timer);
	give_back(led);
	g_free(led->target);
	g_free(led->name);
	g_hash_table_unref(led->lit);
	g_free(led->trigger);
	g_free(led->brightness);
	g_free(led->bright);
	g_free(led);
}

static void set_patterns(Led *led, const SettingsTarget *target)
{
	static const char *const keys[] = { NULL, "priority-1", "priority-2", "priority-3" };

	for (guint i = 1; i < G_N_ELEMENTS(keys); i++) {
		g_autofree char *reason = NULL;

		if (!settings_led_pattern(settings_target_key(target, keys[i]), led->patterns[i].ms, &led->patterns[i].n, &reason))
			led->patterns[i].n = 0; /* the settings have refused such */
	}
}

/* ---- All of them ---- */

/* Those that a notifyd left behind when it was killed; not in another boot, in which the kernel set them anew. */
static void give_back_left(Leds *leds)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *boot = boot_id();

	if (!g_key_file_load_from_file(file, leds->state, G_KEY_FILE_NONE, NULL))
		return;
	g_autofree char *then = g_key_file_get_string(file, "boot", "id", NULL);
	g_auto(GStrv) names = g_key_file_get_groups(file, NULL);
	for (char **name = names; g_strcmp0(then, boot) == 0 && *name; name++) {
		Led left = { .leds = leds, .name = *name };
		g_autofree char *trigger = g_key_file_get_string(file, *name, "trigger", NULL);
		g_autofree char *brightness = g_key_file_get_string(file, *name, "brightness", NULL);

		if (!trigger || !brightness || strchr(*name, '/') || **name == '.')
			continue;
		(void)write_line(&left, "brightness", g_str_equal(trigger, "none") || !*trigger ? brightness : "0");
		if (*trigger)
			(void)write_line(&left, "trigger", trigger);
	}
	(void)g_unlink(leds->state);
}

Leds *leds_new(const char *folder, const char *state)
{
	Leds *leds = g_new0(Leds, 1);

	leds->folder = g_strdup(folder);
	leds->state = g_strdup(state);
	leds->all = g_ptr_array_new_with_free_func(led_free);
	give_back_left(leds);
	return leds;
}

void leds_free(Leds *leds)
{
	if (!leds)
		return;
	/* One by one: what one gives back is noted, with those that are left. */
	while (leds->all->len)
		g_ptr_array_remove_index(leds->all, leds->all->len - 1);
	g_ptr_array_unref(leds->all);
	g_free(leds->folder);
	g_free(leds->state);
	g_free(leds);
}

static Led *find(const Leds *leds, const char *target)
{
	for (guint i = 0; i < leds->all->len; i++) {
		Led *led = leds->all->pdata[i];

		if (g_str_equal(led->target, target))
			return led;
	}
	return NULL;
}

void leds_use(Leds *leds, Settings *settings)
{
	for (guint i = leds->all->len; i-- > 0;) {
		const Led *led = leds->all->pdata[i];
		const SettingsTarget *target = settings_target(settings, led->target);

		if (!target || g_strcmp0(settings_target_key(target, "led"), led->name) != 0)
			g_ptr_array_remove_index(leds->all, i);
	}
	for (guint i = 0; i < settings->targets->len; i++) {
		const SettingsTarget *target = settings->targets->pdata[i];
		Led *led = find(leds, target->id);

		if (target->kind != SETTINGS_TARGET_LED)
			continue;
		if (!led) {
			led = g_new0(Led, 1);
			led->leds = leds;
			led->target = g_strdup(target->id);
			led->name = g_strdup(settings_target_key(target, "led"));
			led->lit = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
			g_ptr_array_add(leds->all, led);
		}
		guint8 shown = led->shown;

		set_patterns(led, target);
		show(led, 0);
		show(led, shown);
	}
}

static void put_out(Led *led, guint64 id)
{
	guint priority = GPOINTER_TO_UINT(g_hash_table_lookup(led->lit, &id));

	if (!priority)
		return;
	led->n_lit[priority]--;
	g_hash_table_remove(led->lit, &id);
}

static void put_out_before(Led *led, guint64 before_id)
{
	GHashTableIter iter;
	gpointer id, priority;

	g_hash_table_iter_init(&iter, led->lit);
	while (g_hash_table_iter_next(&iter, &id, &priority))
		if (*(guint64 *)id < before_id) {
			led->n_lit[GPOINTER_TO_UINT(priority)]--;
			g_hash_table_iter_remove(&iter);
		}
}

void leds_light(Leds *leds, const SettingsTarget *target, guint64 id, guint8 priority)
{
	Led *led = find(leds, target->id);

	if (!led || priority < 1 || priority > 3)
		return;
	put_out(led, id);
	if (g_hash_table_size(led->lit) >= LIT_MAX)
		put_out_before(led, id > LIT_MAX / 2 ? id - LIT_MAX / 2 : 0);
	if (g_hash_table_size(led->lit) < LIT_MAX) {
		g_hash_table_insert(led->lit, g_memdup2(&id, sizeof id), GUINT_TO_POINTER(priority));
		led->n_lit[priority]++;
	}
	show_highest(led);
}

void leds_read(Leds *leds, const guint64 *ids, gsize n_ids)
{
	for (guint i = 0; i < leds->all->len; i++) {
		Led *led = leds->all->pdata[i];

		for (gsize j = 0; j < n_ids; j++)
			put_out(led, ids[j]);
		show_highest(led);
	}
}

void leds_gone(Leds *leds, guint64 before_id)
{
	for (guint i = 0; i < leds->all->len; i++) {
		put_out_before(leds->all->pdata[i], before_id);
		show_highest(leds->all->pdata[i]);
	}
}

char *leds_absent(Leds *leds, const SettingsTarget *target)
{
	const Led *led = find(leds, target->id);

	return led ? what_hinders(led) : g_strdup("not known");
}

static gboolean on_test_over(gpointer user_data)
{
	Led *led = user_data;

	led->test_timer = 0;
	show(led, 0);
	show_highest(led);
	return G_SOURCE_REMOVE;
}

bool leds_test(Leds *leds, const SettingsTarget *target, guint test_ms, GError **error)
{
	Led *led = find(leds, target->id);
	g_autofree char *hindrance = leds_absent(leds, target);

	if (hindrance || !led) {
		g_set_error(error, NOTIFY_ERROR, NOTIFY_ERROR_INVALID, "%s", hindrance);
		return false;
	}
	stop(&led->test_timer);
	show(led, 3);
	led->test_timer = g_timeout_add(test_ms, on_test_over, led);
	return true;
}
