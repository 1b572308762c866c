"""What people read: tables, figures, verdict texts and HTML."""
