/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-record.c - peer.json. */
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "syncd/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("peer.json", MFD_CLOEXEC);
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(write(fd, data, size), ==, size);
	g_autoptr(SyncRecord) record = sync_record_load(path, &error);
	close(fd);
	if (!record) {
		fuzz_check_error(error);
		return 0;
	}
	g_assert_no_error(error);
	g_autoptr(GVariant) shown = g_variant_ref_sink(sync_record_to_variant(record));
	g_assert_true(g_variant_is_normal_form(shown));
	g_assert_cmpuint(strlen(record->fingerprint), ==, 64);
	g_auto(GStrv) hosts = sync_record_hosts(record, NULL);
	for (guint i = 0; hosts[i]; i++)
		g_assert_true(g_hostname_is_ip_address(hosts[i]));
	return 0;
}
