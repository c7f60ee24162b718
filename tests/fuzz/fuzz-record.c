/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-record.c - peer.json. */
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "syncd/pairing/record.h"

/* Only in a program that looks for leaks. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

/* json-glib loses the token it was in when a text is malformed. That is the library's; so a text is tried first with nobody counting, and
 * only one that can be read is read once more under the eyes of the sanitizer. */
static bool readable(const char *path)
{
	g_autoptr(GError) error = NULL;

	if (__lsan_disable)
		__lsan_disable();
	g_autoptr(SyncRecord) record = sync_record_load(path, &error);
	if (__lsan_enable)
		__lsan_enable();
	if (!record)
		fuzz_check_error(error);
	return record != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("peer.json", MFD_CLOEXEC);
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(write(fd, data, size), ==, size);
	if (!readable(path)) {
		close(fd);
		return 0;
	}
	g_autoptr(SyncRecord) record = sync_record_load(path, &error);
	close(fd);
	g_assert_no_error(error);
	g_autoptr(GVariant) shown = g_variant_ref_sink(sync_record_to_variant(record));
	g_assert_true(g_variant_is_normal_form(shown));
	g_assert_cmpuint(strlen(record->fingerprint), ==, 64);
	g_auto(GStrv) hosts = sync_record_hosts(record, NULL);
	for (guint i = 0; hosts[i]; i++)
		g_assert_true(g_hostname_is_ip_address(hosts[i]));
	return 0;
}
