"""What `zuruf up --demo` shows: two invented groups with three brands each, and a day of their customers' posts."""
