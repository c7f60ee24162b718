/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/notifyd/test-led.c - a LED class of files, and with umockdev one of the kernel's shape: taken, blinking, given back. */
#include <glib/gstdio.h>
#include <locale.h>
#include <string.h>
#include <umockdev.h>

#include "notifyd/led.h"

#define DEVICE "[device]\nid=a\n[interface lan]\ndevice=eth0\naddress=192.0.2.11/24\n"
#define PAIR "[pair]\ngroup-id=1\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24\n"
#define FRONT "[led front]\nled=red:alarm\npriority-1=on\npriority-2=20 20\npriority-3=20 30 20 40\n"
#define DEADLINE_S 60

typedef struct {
	char *place, *folder, *state;
	Settings *settings;
	Leds *leds;
} Fixture;

static Settings *settings_of(const char *more)
{
	static const char *const none[] = { NULL };
	g_autofree char *text = g_strconcat(PAIR, more, NULL);
	g_autoptr(GError) error = NULL;
	Settings *settings = settings_parse(DEVICE, text, none, none, &error);

	g_assert_no_error(error);
	return settings;
}

static void put(const char *folder, const char *name, const char *file, const char *text)
{
	g_autofree char *dir = g_build_filename(folder, name, NULL), *path = g_build_filename(dir, file, NULL);

	g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
	g_assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0644, NULL));
}

static bool is(const char *folder, const char *name, const char *file, const char *text)
{
	g_autofree char *path = g_build_filename(folder, name, file, NULL), *got = NULL;

	return g_file_get_contents(path, &got, NULL, NULL) && strcmp(g_strstrip(got), text) == 0;
}

/* The main loop runs until the LED's file says so: each step of a pattern is one turn of it. */
static void wait_until(const char *folder, const char *file, const char *text)
{
	gint64 until_us = g_get_monotonic_time() + DEADLINE_S * G_TIME_SPAN_SECOND;

	while (!is(folder, "red:alarm", file, text)) {
		g_main_context_iteration(NULL, TRUE);
		g_assert_cmpint(g_get_monotonic_time(), <, until_us);
	}
}

static void set_up(Fixture *fixture, gconstpointer data)
{
	fixture->place = g_dir_make_tmp("leds-XXXXXX", NULL);
	fixture->folder = g_build_filename(fixture->place, "leds", NULL);
	fixture->state = g_build_filename(fixture->place, "state", NULL);
	put(fixture->folder, "red:alarm", "brightness", "7\n");
	put(fixture->folder, "red:alarm", "max_brightness", "255\n");
	put(fixture->folder, "red:alarm", "trigger", "[none] timer heartbeat\n");
	fixture->settings = settings_of(FRONT);
	fixture->leds = leds_new(fixture->folder, fixture->state);
	leds_use(fixture->leds, fixture->settings);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	static const char *const files[] = { "brightness", "max_brightness", "trigger", "" };

	leds_free(fixture->leds);
	settings_unref(fixture->settings);
	for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(fixture->folder, "red:alarm", files[i], NULL);
		g_remove(path);
	}
	g_rmdir(fixture->folder);
	g_unlink(fixture->state);
	g_rmdir(fixture->place);
	g_free(fixture->place);
	g_free(fixture->folder);
	g_free(fixture->state);
}

#define BRIGHTNESS(text) g_assert_true(is(fixture->folder, "red:alarm", "brightness", text))

static void light(Fixture *fixture, guint64 id, guint8 priority)
{
	leds_light(fixture->leds, settings_target(fixture->settings, "led:front"), id, priority);
}

static void put_out(Fixture *fixture, guint64 id)
{
	leds_read(fixture->leds, &id, 1);
}

static void test_highest(Fixture *fixture, gconstpointer data)
{
	BRIGHTNESS("7");
	g_assert_false(g_file_test(fixture->state, G_FILE_TEST_EXISTS));
	light(fixture, 1, 1);
	BRIGHTNESS("255");
	g_assert_true(g_file_test(fixture->state, G_FILE_TEST_EXISTS));
	light(fixture, 2, 2);
	wait_until(fixture->folder, "brightness", "0");
	wait_until(fixture->folder, "brightness", "255");
	put_out(fixture, 2);
	BRIGHTNESS("255");
	g_assert_false(g_main_context_pending(NULL)); /* it is on, and wakes nobody */
	put_out(fixture, 3);			      /* of no LED */
	light(fixture, 1, 1);			      /* once more */
	put_out(fixture, 1);
	BRIGHTNESS("7");
	g_assert_false(g_file_test(fixture->state, G_FILE_TEST_EXISTS));
}

static void test_gone(Fixture *fixture, gconstpointer data)
{
	light(fixture, 5, 3);
	light(fixture, 9, 1);
	leds_gone(fixture->leds, 9);
	BRIGHTNESS("255");
	leds_gone(fixture->leds, 10);
	BRIGHTNESS("7");
	for (guint64 id = 1; id <= 25000; id++)
		light(fixture, id, 1);
	leds_gone(fixture->leds, 25001);
	BRIGHTNESS("7");
}

static void test_given_back_at_the_end(Fixture *fixture, gconstpointer data)
{
	put(fixture->folder, "red:alarm", "trigger", "none timer [heartbeat]\n");
	light(fixture, 1, 1);
	g_assert_true(is(fixture->folder, "red:alarm", "trigger", "none"));
	BRIGHTNESS("255");
	g_clear_pointer(&fixture->leds, leds_free);
	g_assert_true(is(fixture->folder, "red:alarm", "trigger", "heartbeat"));
	BRIGHTNESS("0");
	g_assert_false(g_file_test(fixture->state, G_FILE_TEST_EXISTS));
}

/* What a notifyd that was killed has taken is given back by the next one, in the same boot. */
static void test_given_back_after_a_death(Fixture *fixture, gconstpointer data)
{
	g_autofree char *left = NULL;

	put(fixture->folder, "red:alarm", "trigger", "none [timer]\n");
	light(fixture, 1, 1);
	g_assert_true(g_file_get_contents(fixture->state, &left, NULL, NULL));
	for (guint boot = 0; boot < 2; boot++) {
		g_clear_pointer(&fixture->leds, leds_free);
		put(fixture->folder, "red:alarm", "trigger", "[none] timer\n");
		put(fixture->folder, "red:alarm", "brightness", "255\n");
		if (boot == 1)
			memset(strstr(left, "id=") + 3, 'x', 8);
		g_assert_true(g_file_set_contents(fixture->state, left, -1, NULL));
		fixture->leds = leds_new(fixture->folder, fixture->state);
		g_assert_true(is(fixture->folder, "red:alarm", "trigger", boot ? "[none] timer" : "timer"));
		BRIGHTNESS(boot ? "255" : "0");
		g_assert_false(g_file_test(fixture->state, G_FILE_TEST_EXISTS));
	}
	g_assert_true(g_file_set_contents(fixture->state, "half a file", -1, NULL));
	g_clear_pointer(&fixture->leds, leds_free);
	fixture->leds = leds_new(fixture->folder, fixture->state);
}

static void test_settings(Fixture *fixture, gconstpointer data)
{
	g_autoptr(Settings) dark = settings_of("[led front]\nled=red:alarm\npriority-1=off\n"), none = settings_of("");

	light(fixture, 1, 1);
	BRIGHTNESS("255");
	leds_use(fixture->leds, dark);
	BRIGHTNESS("7");
	leds_use(fixture->leds, fixture->settings);
	BRIGHTNESS("255");
	leds_use(fixture->leds, none);
	BRIGHTNESS("7");
	leds_use(fixture->leds, fixture->settings);
	BRIGHTNESS("7"); /* it knows no event any more: the caller lights it */
}

static void test_absent(Fixture *fixture, gconstpointer data)
{
	g_autoptr(Settings) other = settings_of("[led side]\nled=green:side\n");
	const SettingsTarget *side = settings_target(other, "led:side"), *front = settings_target(fixture->settings, "led:front");
	g_autofree char *present = leds_absent(fixture->leds, front);
	g_autoptr(GError) error = NULL;

	g_assert_null(present);
	leds_use(fixture->leds, other);
	g_autofree char *absent = leds_absent(fixture->leds, side);
	g_assert_cmpstr(absent, ==, "this device has no LED green:side");
	leds_light(fixture->leds, side, 1, 3);
	g_assert_false(leds_test(fixture->leds, side, 1, &error));
	g_assert_cmpstr(error->message, ==, "this device has no LED green:side");
	leds_read(fixture->leds, &(guint64){ 1 }, 1);
}

static void test_test(Fixture *fixture, gconstpointer data)
{
	const SettingsTarget *front = settings_target(fixture->settings, "led:front");
	g_autoptr(GError) error = NULL;

	g_assert_true(leds_test(fixture->leds, front, 200, &error));
	BRIGHTNESS("255");
	wait_until(fixture->folder, "brightness", "7");
	light(fixture, 1, 1);
	g_assert_true(leds_test(fixture->leds, front, 3600000, &error));
	wait_until(fixture->folder, "brightness", "0");
	put_out(fixture, 1); /* while it is tested: it goes on to the end of the test */
	wait_until(fixture->folder, "brightness", "255");
	g_assert_true(leds_test(fixture->leds, front, 1, &error));
	wait_until(fixture->folder, "brightness", "7");
}

/* The same on a device as the kernel shows it: a link in the class, attributes in the device's folder. */
static void test_umockdev(void)
{
	g_autoptr(UMockdevTestbed) testbed = umockdev_testbed_new();
	g_autofree char *device = umockdev_testbed_add_device(testbed, "leds", "red:alarm", NULL, "brightness", "0", "max_brightness", "3", "trigger",
							      "none timer [default-on]", NULL, NULL, NULL);
	g_autofree char *place = g_dir_make_tmp("leds-XXXXXX", NULL), *state = g_build_filename(place, "state", NULL);
	g_autoptr(Settings) settings = settings_of(FRONT);
	Leds *leds = leds_new(LEDS_FOLDER, state);

	g_assert_nonnull(device);
	leds_use(leds, settings);
	leds_light(leds, settings_target(settings, "led:front"), 1, 3);
	g_assert_true(is(LEDS_FOLDER, "red:alarm", "trigger", "none"));
	wait_until(LEDS_FOLDER, "brightness", "3");
	wait_until(LEDS_FOLDER, "brightness", "0");
	wait_until(LEDS_FOLDER, "brightness", "3");
	leds_free(leds);
	g_assert_true(is(LEDS_FOLDER, "red:alarm", "trigger", "default-on"));
	g_rmdir(place);
}

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "C.UTF-8");
	g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/led/" name, Fixture, NULL, set_up, function, tear_down)
	ADD("highest", test_highest);
	ADD("gone", test_gone);
	ADD("given-back-at-the-end", test_given_back_at_the_end);
	ADD("given-back-after-a-death", test_given_back_after_a_death);
	ADD("settings", test_settings);
	ADD("absent", test_absent);
	ADD("test", test_test);
	g_test_add_func("/led/umockdev", test_umockdev);
	return g_test_run();
}
