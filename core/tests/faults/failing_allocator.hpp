#pragma once

/// An allocator that fails when told to, for all that asks for memory by new, malloc and the like.
/// Under a sanitizer, which has its own malloc, for new and posix_memalign only.
///
/// Linked into a program it is called directly; loaded before the C library (LD_PRELOAD) it is
/// found by name.
extern "C" {

/// From now on counts allocations, on any thread, and fails the one with this number (from 1) and
/// the `more` after it; with 0, none.
void gprat_faults_begin(long number, long more);

/// Counts no longer, and returns how many allocations there were.
long gprat_faults_end();

/// Limits counting to calls that come directly from the shared library whose name has this part;
/// null: from everywhere but the C library.
void gprat_faults_only_from(const char* name);

/// Whether memory that oneTBB's library asks for may fail, but for what it starts threads with. It
/// may not at first: that library doesn't survive it everywhere.
void gprat_faults_of_onetbb(int may_fail);

/// Spares small allocations on a thread for which `holds` is true: that of Python's interpreter,
/// whose bindings keep account of objects in maps that must be able to grow.
void gprat_faults_spare_bookkeeping(int (*holds)());

/// Allocations that have not been freed, since the program began.
long gprat_faults_live();
}
