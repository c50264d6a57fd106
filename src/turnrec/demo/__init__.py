"""`turnrec demo`: one real call to the sample bot, shown live and checked afterwards."""
